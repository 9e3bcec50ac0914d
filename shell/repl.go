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
// exit or the end of input. historyFile keeps what was entered; "" keeps it for
// this time only.
func (r *Runner) REPL(in *os.File, historyFile string) error {
	if !isatty.IsTerminal(in.Fd()) {
		return r.pipe(in)
	}
	tty, err := newTerminal()
	if err != nil {
		return r.pipe(in)
	}
	fmt.Fprintln(r.Out, "Statements end with ';'. Ctrl-C ends a query, 'exit' or Ctrl-D leaves, Tab completes.")
	p := &terminalPrompt{r: r, keys: &keyReader{ConsoleParser: tty}, history: openHistory(historyFile), names: &names{}}
	fmt.Fprint(r.Out, pasteOn)
	defer fmt.Fprint(r.Out, pasteOff)
	p.loop()
	return nil
}

// A terminalPrompt reads statements, each of one line or more.
type terminalPrompt struct {
	r       *Runner
	keys    *keyReader
	history *history
	names   *names
	pending []string // lines of a statement that is not whole yet
}

func (p *terminalPrompt) loop() {
	p.names.refresh(p.r)
	for {
		line, more := p.line()
		switch {
		case !more, len(p.pending) == 0 && isExit(line):
			return
		case len(p.pending) == 0 && strings.TrimSpace(line) == "":
			continue
		}
		p.pending = append(p.pending, line)
		text := strings.Join(p.pending, "\n")
		if !complete(text) {
			continue
		}
		p.history.add(p.pending)
		p.pending = nil
		p.r.interruptible(text)
		p.names.refresh(p.r)
	}
}

// line reads one line; more is false if the user leaves. Ctrl-C drops what
// there is of the statement.
func (p *terminalPrompt) line() (line string, more bool) {
	p.keys.held, p.keys.ended = false, false
	in := prompt.New(func(string) {}, p.names.suggest,
		prompt.OptionParser(p.keys),
		prompt.OptionCompletionWordSeparator(separators),
		prompt.OptionHistory(p.history.list),
		prompt.OptionLivePrefix(func() (string, bool) {
			if len(p.pending) > 0 {
				return "   > ", true
			}
			return "ksh> ", true
		}),
		prompt.OptionAddKeyBind(prompt.KeyBind{Key: prompt.ControlC, Fn: func(*prompt.Buffer) { p.pending = nil }}),
	)
	line = in.Input()
	return line, line != "" || !p.keys.ended
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
	run := func() {
		if err := r.Run(context.Background(), text.String()); err != nil {
			fmt.Fprintln(r.Out, err)
			failed = errors.New("a statement failed")
		}
		text.Reset()
	}
	for lines.Scan() {
		if text.Len() == 0 && isExit(lines.Text()) {
			return failed
		}
		text.WriteString(lines.Text())
		text.WriteByte('\n')
		if complete(text.String()) {
			run()
		}
	}
	if strings.TrimSpace(text.String()) != "" {
		run() // the last one may lack its semicolon
	}
	return errors.Join(failed, lines.Err())
}

// complete reports whether text ends with a whole statement.
func complete(text string) bool {
	statements, rest := sql.SplitStatements(text)
	return len(statements) > 0 && rest.Text == ""
}
