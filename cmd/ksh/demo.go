package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"karst/server/api"
	"karst/shell"
	"karst/sql"
	"karst/testdata/demo"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

func demoCommand(f *flags, in *os.File, out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "The tour: real flights, live result, then the prompt",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "ksh-demo-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			n, err := openNode(dir, nodeOptions{}, f.logger(os.Stderr))
			if err != nil {
				return err
			}
			c, closeServer := n.server.InMemory()
			t := &tour{client: c, out: out, shell: shell.NewRunner(c, out, out, shell.Table)}
			err = t.run(cmd.Context())
			if err == nil && isatty.IsTerminal(in.Fd()) {
				fmt.Fprintln(out, "\nEverything keeps running: try  SELECT * FROM late_by_state;  or  SHOW QUERIES;")
				err = t.shell.REPL(in, historyFile())
			}
			closeServer()
			return errors.Join(err, n.close())
		},
	}
}

// A tour shows the demo's statements and what they do to the data.
type tour struct {
	client *api.Client
	out    io.Writer
	shell  *shell.Runner
}

func (t *tour) say(format string, args ...any) { fmt.Fprintf(t.out, "\n-- "+format+"\n", args...) }

func (t *tour) run(ctx context.Context) error {
	fmt.Fprintln(t.out, "Karst: 20,000 US flights of early 2001, as they happen.")
	if err := t.statements(ctx); err != nil {
		return err
	}
	t.say("3,376 airports, stamped 0: a stream's row finds the table's row as of its own time, and these flights are from 2001. A table stamped today would come after all of them.")
	zero := int64(0)
	airports := &production{key: "iata", csv: true, fixed: &zero, errOut: t.out}
	if err := t.load(ctx, airports, "airports", demo.Airports); err != nil {
		return err
	}
	t.say("20,000 flights; meanwhile a push query shows the first late ones.")
	rows := make(chan error, 1)
	go func() {
		rows <- t.shell.Run(ctx, "SET 'auto.offset.reset' = 'earliest'; SELECT origin, state, delay FROM late_flights EMIT CHANGES LIMIT 8;")
	}()
	if err := t.load(ctx, &production{key: "origin", errOut: t.out}, "flights", demo.Flights); err != nil {
		return err
	}
	if err := <-rows; err != nil {
		return err
	}
	for _, q := range []struct{ text, why string }{
		{"SELECT * FROM delays_by_origin WHERE origin = 'DFW';", "A pull query asks the table that a persistent query keeps up to date."},
		{"SELECT * FROM late_by_state WHERE flights >= 69;", "The states with most late flights: two queries, one behind the other."},
		{"SELECT origin, FORMAT_DATE(FROM_DAYS(CAST(windowstart / 86400000 AS INT)), 'yyyy-MM-dd') AS day, flights FROM flights_by_day WHERE flights >= 20;", "The busiest days, by event time."},
	} {
		t.say("%s\n%s", q.why, q.text)
		if err := t.shell.Run(ctx, q.text); err != nil {
			return err
		}
	}
	return nil
}

// statements shows and runs each statement with the comment above it.
func (t *tour) statements(ctx context.Context) error {
	rest := demo.Statements
	fragments, _ := sql.SplitStatements(rest)
	for _, f := range fragments {
		s := f.Text
		at := strings.Index(rest, s)
		lines := strings.Split(strings.TrimSpace(rest[:at]), "\n")
		rest = rest[at+len(s):]
		t.say("%s\n%s", strings.TrimPrefix(lines[len(lines)-1], "-- "), s)
		if err := t.shell.Run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *tour) load(ctx context.Context, p *production, topic string, data []byte) error {
	n, err := p.run(ctx, t.client, topic, bytes.NewReader(data))
	if err == nil {
		fmt.Fprintf(t.out, "%d records acknowledged\n", n)
	}
	return err
}
