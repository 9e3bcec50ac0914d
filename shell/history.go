package shell

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// maxHistory bounds the statements that are remembered.
const maxHistory = 1000

// A history remembers statements, each as one line, in a file.
type history struct {
	file string // "": none
	list []string
}

// openHistory reads the history of earlier times; without a file, or if it
// can't be read, there is none.
func openHistory(file string) *history {
	h := &history{file: file}
	if file == "" {
		return h
	}
	f, err := os.Open(file)
	if err != nil {
		return h
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if lines.Text() != "" {
			h.list = append(h.list, lines.Text())
		}
	}
	h.list = h.list[max(0, len(h.list)-maxHistory):]
	return h
}

// add remembers a statement's lines as one, so that it comes back whole; lines
// with a comment stay apart, as it would hide what follows.
func (h *history) add(lines []string) {
	one := []string{strings.Join(lines, " ")}
	if strings.Contains(one[0], "--") {
		one = lines
	}
	for _, line := range one {
		if n := len(h.list); line != "" && (n == 0 || h.list[n-1] != line) {
			h.list = append(h.list, line)
		}
	}
	h.list = h.list[max(0, len(h.list)-maxHistory):]
	h.save()
}

// save writes the file; that it can't is no reason to stop.
func (h *history) save() {
	if h.file == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o700); err != nil {
		return
	}
	next := h.file + ".new"
	if os.WriteFile(next, []byte(strings.Join(h.list, "\n")+"\n"), 0o600) == nil {
		_ = os.Rename(next, h.file)
	}
}
