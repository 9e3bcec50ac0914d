package server

import (
	"encoding/json"
	"fmt"
	"net/http"

	"karst/exec"
	"karst/server/api"
	"karst/sql"
	"karst/sql/types"
)

// queryStream answers POST /query-stream: a header line, then an array a row.
func (s *Server) queryStream(w http.ResponseWriter, r *http.Request) {
	var req api.StreamRequest
	if !decode(w, r, &req) {
		return
	}
	out := &lineRows{w: w}
	if _, err := s.runQuery(r, req.Text, session(req.Properties, req.Variables), out); err != nil {
		s.queryFailed(w, err, req.Text, out.begun)
	}
}

func (s *Server) queryFailed(w http.ResponseWriter, err error, text string, begun bool) {
	status, e := s.failure(err, text)
	if !begun {
		writeError(w, status, e)
		return
	}
	_ = json.NewEncoder(w).Encode(e)
}

// runQuery runs the one query of a text.
func (s *Server) runQuery(r *http.Request, text string, sess *exec.Session, rows exec.Rows) (string, error) {
	stmts, err := sql.Parse(text, sql.Options{Variables: sess.Variables})
	if err != nil {
		return "", err
	}
	if len(stmts) != 1 {
		return "", types.Errorf(types.ErrStatement, types.Pos{}, "expected exactly one query, found %d statements", len(stmts))
	}
	sel, ok := stmts[0].(*sql.SelectStmt)
	if !ok {
		return "", types.Errorf(types.ErrStatement, stmts[0].Pos(), "this endpoint takes a SELECT; send other statements to /ksql")
	}
	return s.engine.Query(r.Context(), sel, sess, rows)
}

// lineRows writes rows as lines.
type lineRows struct {
	w     http.ResponseWriter
	begun bool
}

// Header implements exec.Rows.
func (l *lineRows) Header(head exec.Header) error {
	h := api.Header{QueryID: head.QueryID, ColumnNames: []string{}, ColumnTypes: []string{}}
	for _, c := range head.Schema.Columns {
		h.ColumnNames = append(h.ColumnNames, c.Name)
		h.ColumnTypes = append(h.ColumnTypes, c.Type.String())
	}
	l.w.Header().Set("Content-Type", "application/vnd.ksqlapi.delimited.v1")
	l.begun = true
	err := json.NewEncoder(l.w).Encode(h)
	flush(l.w)
	return err
}

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

func joined(cols [][]byte) []byte {
	out := []byte{'['}
	for i, c := range cols {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, c...)
	}
	return append(out, ']')
}

// Row implements exec.Rows.
func (l *lineRows) Row(cols [][]byte, _ bool) bool {
	_, err := l.w.Write(append(joined(cols), '\n'))
	return err == nil
}

// Flush implements exec.Rows.
func (l *lineRows) Flush() bool {
	flush(l.w)
	return true
}

// query answers POST /query: one JSON array of header, rows and a last word.
func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	var req api.StatementRequest
	if !decode(w, r, &req) {
		return
	}
	out := &arrayRows{w: w}
	final, err := s.runQuery(r, req.Text, session(req.Properties, req.Variables), out)
	switch {
	case err != nil && !out.begun:
		s.queryFailed(w, err, req.Text, false)
	case err != nil:
		_, e := s.failure(err, req.Text)
		text, _ := json.Marshal(e)
		fmt.Fprintf(w, ",\n{\"errorMessage\":%s}]\n", text)
	case out.word:
		text, _ := json.Marshal(final)
		fmt.Fprintf(w, ",\n{\"finalMessage\":%s}]\n", text)
	default:
		fmt.Fprint(w, "]\n")
	}
}

type arrayRows struct {
	w     http.ResponseWriter
	begun bool
	word  bool // a last word follows the rows
}

// Header implements exec.Rows.
func (a *arrayRows) Header(h exec.Header) error {
	text, err := json.Marshal(map[string]any{"header": map[string]string{"queryId": h.QueryID, "schema": h.Schema.String()}})
	if err != nil {
		return err
	}
	a.w.Header().Set("Content-Type", "application/json")
	a.begun, a.word = true, h.Push || !h.Table
	_, err = fmt.Fprintf(a.w, "[%s", text)
	flush(a.w)
	return err
}

// Row implements exec.Rows.
func (a *arrayRows) Row(cols [][]byte, deleted bool) bool {
	tail := "}}"
	if deleted {
		tail = `,"tombstone":true}}`
	}
	_, err := fmt.Fprintf(a.w, ",\n{\"row\":{\"columns\":%s%s", joined(cols), tail)
	return err == nil
}

// Flush implements exec.Rows.
func (a *arrayRows) Flush() bool {
	flush(a.w)
	return true
}
