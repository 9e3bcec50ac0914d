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
	Format     Format
	Properties map[string]string
	Variables  map[string]string
	depth      int
}

// NewRunner returns a runner with an empty session.
func NewRunner(c *api.Client, out io.Writer, f Format) *Runner {
	return &Runner{Client: c, Out: out, Format: f, Properties: map[string]string{}, Variables: map[string]string{}}
}

// maxScriptDepth bounds RUN SCRIPT within RUN SCRIPT.
const maxScriptDepth = 10

// Run runs the statements of a text, up to the first that fails. Cancelling
// ctx ends a push query, which is no failure.
func (r *Runner) Run(ctx context.Context, text string) error {
	// Variables are substituted statement by statement: a DEFINE counts for
	// those after it.
	for _, part := range statements(text) {
		stmts, err := sql.Parse(part, sql.Options{Variables: r.Variables})
		if err != nil {
			return err
		}
		for _, s := range stmts {
			if err := r.statement(ctx, s, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// statements divides a script; the last statement may lack its semicolon.
func statements(text string) []string {
	var out []string
	fragments, rest := sql.SplitStatements(text)
	for _, f := range append(fragments, rest) {
		if strings.TrimSpace(f.Text) != "" {
			out = append(out, f.Text)
		}
	}
	return out
}

func (r *Runner) statement(ctx context.Context, s sql.Statement, text string) error {
	switch x := s.(type) {
	case *sql.SelectStmt:
		q, ok := x.Query.(*sql.Query)
		return r.query(ctx, text, ok && q.Emit != sql.EmitNone)
	case *sql.SetProperty:
		if x.Unset {
			delete(r.Properties, x.Name)
		} else {
			r.Properties[x.Name] = x.Value
		}
		return nil
	case *sql.Define:
		if x.Undefine {
			delete(r.Variables, x.Name)
		} else {
			r.Variables[x.Name] = x.Value
		}
		return nil
	case *sql.PrintTopic:
		return r.print(ctx, x)
	case *sql.RunScript:
		return r.script(ctx, x.File)
	}
	entities, err := r.Client.Execute(ctx, text, r.Properties, r.Variables)
	for _, e := range entities {
		r.entity(e)
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
	return r.Run(ctx, string(text))
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

func (r *Runner) print(ctx context.Context, x *sql.PrintTopic) error {
	params := "exit=false"
	if x.FromBeginning {
		params += "&from=beginning"
	}
	if x.Limit != nil {
		params += fmt.Sprintf("&max=%d", *x.Limit)
	}
	n := int64(0)
	err := r.Client.Consume(ctx, x.Topic, params, func(rec api.Record) bool {
		if n++; x.Interval <= 1 || n%x.Interval == 0 {
			fmt.Fprintf(r.Out, "rowtime: %d, key: %s, value: %s, partition: %d, offset: %d\n", *rec.Timestamp, orNull(rec.KeyBytes()), orNull(rec.ValueBytes()), *rec.Partition, *rec.Offset)
		}
		return true
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func orNull(b []byte) string {
	if b == nil {
		return "<null>"
	}
	return string(b)
}

// entity prints the answer to one statement.
func (r *Runner) entity(e api.Entity) {
	if r.Format == JSON {
		text, _ := json.Marshal(e)
		fmt.Fprintf(r.Out, "%s\n", text)
		return
	}
	if e.Status != nil {
		fmt.Fprintln(r.Out, e.Status.Message)
		return
	}
	if e.Message != "" {
		fmt.Fprintln(r.Out, e.Message)
	}
	if len(e.Columns) == 1 && e.Columns[0] == "plan" {
		for _, row := range e.Rows {
			fmt.Fprintln(r.Out, row[0])
		}
		return
	}
	if len(e.Columns) > 0 {
		p := newPrinter(r.Out, r.Format, e.Columns, false)
		for _, row := range e.Rows {
			p.row(row, nil)
		}
		p.end()
	}
}

// cellText shows a JSON value: strings without quotes.
func cellText(raw json.RawMessage) string {
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
