package shell

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"karst/server/api"
	"karst/sql"
)

// A Runner runs scripts against a server. It keeps the session: properties and
// variables.
type Runner struct {
	Client     *api.Client
	Out        io.Writer
	Err        io.Writer // takes what is no rows where Out takes CSV
	Format     Format
	Properties map[string]string
	Variables  map[string]string
	depth      int
}

// NewRunner returns a runner with an empty session.
func NewRunner(c *api.Client, out, errOut io.Writer, f Format) *Runner {
	return &Runner{Client: c, Out: out, Err: errOut, Format: f, Properties: map[string]string{}, Variables: map[string]string{}}
}

// maxScriptDepth bounds RUN SCRIPT within RUN SCRIPT.
const maxScriptDepth = 10

// Run runs the statements of a text, up to the first that fails. Cancelling
// ctx ends a push query, which is no failure.
func (r *Runner) Run(ctx context.Context, text string) error {
	// Variables are substituted statement by statement: a DEFINE counts for
	// those after it.
	fragments, rest := sql.SplitStatements(text)
	for _, f := range append(fragments, rest) {
		if strings.TrimSpace(f.Text) == "" {
			continue
		}
		stmts, err := sql.Parse(f.Text, sql.Options{Variables: r.Variables})
		if err != nil {
			return located(err, f)
		}
		for _, s := range stmts {
			if err := r.statement(ctx, s, f.Text); err != nil {
				return located(err, f)
			}
		}
	}
	return nil
}

func (r *Runner) statement(ctx context.Context, s sql.Statement, text string) error {
	switch x := s.(type) {
	case *sql.SelectStmt:
		q, ok := x.Query.(*sql.Query)
		return r.query(ctx, text, ok && q.Emit != sql.EmitNone)
	case *sql.SetProperty:
		return r.set(ctx, x, text)
	case *sql.Define:
		if x.Undefine {
			delete(r.Variables, x.Name)
		} else {
			r.Variables[x.Name] = x.Value
		}
		return nil
	case *sql.PrintTopic:
		return r.print(ctx, text)
	case *sql.RunScript:
		return r.script(ctx, x.File)
	}
	entities, err := r.Client.Execute(ctx, text, r.Properties, r.Variables)
	for _, e := range entities {
		r.printEntity(e)
	}
	return err
}

func (r *Runner) script(ctx context.Context, file string) error {
	if r.depth++; r.depth > maxScriptDepth {
		return fmt.Errorf("RUN SCRIPT is nested more than %d levels deep", maxScriptDepth)
	}
	defer func() { r.depth-- }()
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading script: %w", err)
	}
	if err := r.Run(ctx, string(text)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// set sets a property of the session, once the server has found that it takes
// it.
func (r *Runner) set(ctx context.Context, x *sql.SetProperty, text string) error {
	if x.Unset {
		delete(r.Properties, x.Name)
		return nil
	}
	if _, err := r.Client.Execute(ctx, text, r.Properties, r.Variables); err != nil {
		return err
	}
	r.Properties[x.Name] = x.Value
	return nil
}

// query prints a query's rows; stream tells that they come as they happen.
func (r *Runner) query(ctx context.Context, text string, stream bool) error {
	var p *printer
	err := r.Client.Query(ctx, text, r.Properties, r.Variables, func(h api.Header) {
		p = newPrinter(r.Out, r.Format, h.ColumnNames, stream)
	}, func(cols []json.RawMessage) bool {
		row := make([]string, len(cols))
		for i, c := range cols {
			row[i] = cellText(c)
		}
		p.row(row, cols)
		return true
	})
	if p != nil {
		p.end()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// print prints a topic's records, as text.
func (r *Runner) print(ctx context.Context, text string) error {
	err := r.Client.Print(ctx, text, r.Properties, r.Variables, func(line string) { fmt.Fprintln(r.Out, line) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// cellText shows a JSON value: strings without quotes.
func cellText(raw json.RawMessage) string {
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
