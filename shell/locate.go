package shell

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"karst/sql"
	"karst/sql/types"

	"github.com/mattn/go-runewidth"
)

// A locatedError is an error about a statement, with its place in the text that
// was typed.
type locatedError struct {
	text string
	err  error
}

func (e *locatedError) Error() string { return e.text }
func (e *locatedError) Unwrap() error { return e.err }

var place = regexp.MustCompile(`(?m)^line (\d+):(\d+): `)

// located moves the places in an error's text from the statement to the text
// that it is part of, and shows the first with a caret under it.
func located(err error, f sql.Fragment) error {
	text, shown := err.Error(), false
	moved := place.ReplaceAllStringFunc(text, func(m string) string {
		at := placeOf(m)
		return fmt.Sprintf("line %d:%d: ", at.Line+f.At.Line-1, column(at, f.At))
	})
	if moved == text && !place.MatchString(text) {
		return err
	}
	var out strings.Builder
	for _, line := range strings.SplitAfter(moved, "\n") {
		out.WriteString(line)
		if m := place.FindString(line); m != "" && !shown {
			shown = true
			if !strings.HasSuffix(line, "\n") {
				out.WriteByte('\n')
			}
			out.WriteString(excerpt(f.Text, placeOf(place.FindString(text))))
		}
	}
	return &locatedError{strings.TrimRight(out.String(), "\n"), err}
}

func placeOf(text string) types.Pos {
	m := place.FindStringSubmatch(text)
	line, _ := strconv.Atoi(m[1])
	col, _ := strconv.Atoi(m[2])
	return types.Pos{Line: line, Column: col}
}

// column is that of a statement's place in the whole text.
func column(at, start types.Pos) int {
	if at.Line == 1 {
		return at.Column + start.Column - 1
	}
	return at.Column
}

// excerpt is the line of a place with a caret under it.
func excerpt(text string, at types.Pos) string {
	lines := strings.Split(text, "\n")
	if at.Line < 1 || at.Line > len(lines) {
		return ""
	}
	line := strings.ReplaceAll(strings.TrimRight(lines[at.Line-1], "\r"), "\t", " ")
	before := []rune(line)
	before = before[:min(max(at.Column-1, 0), len(before))]
	return "  " + line + "\n  " + strings.Repeat(" ", runewidth.StringWidth(string(before))) + "^\n"
}
