package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"karst/sql"

	prompt "github.com/c-bata/go-prompt"
	"github.com/mattn/go-isatty"
)

// REPL reads statements from the terminal, or line by line from a pipe, until
// exit or the end of input.
func (r *Runner) REPL(in *os.File) error {
	if !isatty.IsTerminal(in.Fd()) {
		return r.pipe(in)
	}
	tty, err := newTerminal()
	if err != nil {
		return r.pipe(in)
	}
	fmt.Fprintln(r.Out, "Statements end with ';'. Ctrl-C ends a query, 'exit' or Ctrl-D leaves.")
	var pending strings.Builder
	leave := false
	execute := func(line string) {
		if pending.Len() == 0 && isExit(line) {
			leave = true
			return
		}
		if pending.Len() > 0 {
			pending.WriteByte('\n')
		}
		pending.WriteString(line)
		if text := pending.String(); complete(text) {
			pending.Reset()
			r.interruptible(text)
		}
	}
	p := prompt.New(execute, suggest,
		prompt.OptionParser(&keyReader{ConsoleParser: tty}),
		prompt.OptionPrefix("ksh> "),
		prompt.OptionLivePrefix(func() (string, bool) {
			if pending.Len() > 0 {
				return "   > ", true
			}
			return "ksh> ", true
		}),
		prompt.OptionAddKeyBind(prompt.KeyBind{Key: prompt.ControlC, Fn: func(*prompt.Buffer) { pending.Reset() }}),
		prompt.OptionSetExitCheckerOnInput(func(line string, entered bool) bool {
			return entered && (leave || pending.Len() == 0 && isExit(line))
		}),
	)
	fmt.Fprint(r.Out, pasteOn)
	defer fmt.Fprint(r.Out, pasteOff)
	p.Run()
	return nil
}

func isExit(line string) bool {
	switch strings.ToLower(strings.TrimRight(strings.TrimSpace(line), "; ")) {
	case "exit", "quit":
		return true
	}
	return false
}

// interruptible runs statements; Ctrl-C ends them and not the shell.
func (r *Runner) interruptible(text string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := r.Run(ctx, text); err != nil {
		fmt.Fprintln(r.Out, err)
	}
}

func (r *Runner) pipe(in io.Reader) error {
	var text strings.Builder
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	failed := error(nil)
	for lines.Scan() {
		if text.Len() == 0 && isExit(lines.Text()) {
			return failed
		}
		text.WriteString(lines.Text())
		text.WriteByte('\n')
		if complete(text.String()) {
			if err := r.Run(context.Background(), text.String()); err != nil {
				fmt.Fprintln(r.Out, err)
				failed = errors.New("a statement failed")
			}
			text.Reset()
		}
	}
	return errors.Join(failed, lines.Err())
}

// complete reports whether text ends with a whole statement.
func complete(text string) bool {
	statements, rest := sql.SplitStatements(text)
	return len(statements) > 0 && rest.Text == ""
}

// suggest completes keywords.
func suggest(d prompt.Document) []prompt.Suggest {
	word := d.GetWordBeforeCursor()
	if len(word) < 2 {
		return nil
	}
	return prompt.FilterHasPrefix(suggestions, word, true)
}

var suggestions = func() []prompt.Suggest {
	var out []prompt.Suggest
	for _, w := range strings.Fields("SELECT FROM WHERE GROUP BY HAVING PARTITION WINDOW TUMBLING HOPPING SESSION EMIT CHANGES FINAL CREATE STREAM TABLE INSERT INTO VALUES DROP DESCRIBE EXPLAIN SHOW STREAMS TABLES QUERIES TOPICS FUNCTIONS TYPES PRINT TERMINATE PAUSE RESUME SET UNSET DEFINE LIMIT JOIN WITHIN") {
		out = append(out, prompt.Suggest{Text: w})
	}
	return out
}()
