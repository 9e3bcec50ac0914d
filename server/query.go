package server

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"karst/exec"
	"karst/server/api"
	"karst/sql"
	"karst/sql/types"
)

// Content types of answers to queries.
const (
	typeJSON      = "application/json"
	typeKsql      = "application/vnd.ksql.v1+json"
	typeDelimited = "application/vnd.ksqlapi.delimited.v1"
)

// pullTimeout is how long a pull query may take.
const pullTimeout = time.Minute

// A rowSink writes a query's answer in one of the forms.
type rowSink interface {
	exec.Rows
	// begun reports whether anything has been written.
	begun() bool
	// end writes what follows the rows: the last word, or why there are no
	// more.
	end(final string, failure *api.Error)
}

// query answers POST /query: a SELECT as one JSON array of header, rows and a
// last word, or PRINT as text.
func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	var req api.StatementRequest
	if decode(w, r, &req) {
		s.run(w, r, req, newArrayRows(w))
	}
}

// queryStream answers POST /query-stream. By default a header line, then an
// array a row; as JSON the same in one array; as ksqlDB's JSON what /query
// gives; as ksqlDB's protobuf that with messages for rows.
func (s *Server) queryStream(w http.ResponseWriter, r *http.Request) {
	var req api.StreamRequest
	if !decode(w, r, &req) {
		return
	}
	var out rowSink
	switch accepted(r.Header.Get("Accept")) {
	case typeKsql:
		out = newArrayRows(w)
	case typeProtobuf:
		out = newProtoRows(w)
	case typeJSON:
		out = newLineRows(w, r, true)
	default:
		out = newLineRows(w, r, false)
	}
	s.run(w, r, api.StatementRequest{Text: req.Text, Properties: req.Properties, Variables: req.Variables}, out)
}

// accepted returns the first of the content types that the server has.
func accepted(header string) string {
	for _, part := range strings.Split(header, ",") {
		switch kind, _, err := mime.ParseMediaType(strings.TrimSpace(part)); {
		case err != nil:
		case kind == typeKsql, kind == typeProtobuf, kind == typeJSON, kind == typeDelimited:
			return kind
		}
	}
	return typeDelimited
}

// run runs the one query of a request.
func (s *Server) run(w http.ResponseWriter, r *http.Request, req api.StatementRequest, out rowSink) {
	sess, err := session(req.Properties, req.Variables)
	if err != nil {
		s.fail(w, err, req.Text)
		return
	}
	stmt, err := oneQuery(req.Text, sess)
	if err != nil {
		s.fail(w, err, req.Text)
		return
	}
	if p, ok := stmt.(*sql.PrintTopic); ok {
		if free := take(w, &s.pushes, maxPushQueries, "push queries and readers"); free != nil {
			defer free()
			s.print(w, r, p)
		}
		return
	}
	final, err := s.selectRows(r.Context(), stmt, sess, out)
	switch {
	case err == nil:
		out.end(final, nil)
	case !out.begun():
		s.fail(w, err, req.Text)
	default:
		_, e := s.failure(err, req.Text)
		out.end("", e)
	}
}

// selectRows runs a SELECT.
func (s *Server) selectRows(ctx context.Context, stmt sql.Statement, sess *exec.Session, out exec.Rows) (string, error) {
	sel, ok := stmt.(*sql.SelectStmt)
	if !ok {
		return "", types.Errorf(types.ErrStatement, stmt.Pos(), "this endpoint takes SELECT and PRINT; send other statements to /ksql")
	}
	if q, ok := sel.Query.(*sql.Query); ok && q.Emit != sql.EmitNone {
		defer s.pushes.Add(-1)
		if s.pushes.Add(1) > maxPushQueries {
			return "", &types.Error{Kind: types.ErrLimit, Pos: stmt.Pos(), Message: fmt.Sprintf("%d push queries run already, more are not taken", maxPushQueries)}
		}
		return s.engine.Query(ctx, sel, sess, out)
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	return s.engine.Query(ctx, sel, sess, out)
}

func oneQuery(text string, sess *exec.Session) (sql.Statement, error) {
	stmts, err := sql.Parse(text, sql.Options{Variables: sess.Variables})
	if err != nil {
		return nil, err
	}
	if len(stmts) != 1 {
		return nil, userError(fmt.Sprintf("expected exactly one query, found %d statements", len(stmts)))
	}
	return stmts[0], nil
}

// lineRows writes a header and a JSON array a row, each on a line of its own,
// or all of it as one array.
type lineRows struct {
	out   *stream
	array bool
	lines int
	push  bool
	// frames has each row of a push query go out on its own: over HTTP/2, where
	// clients of ksqlDB take a data frame for a row.
	frames bool
}

func newLineRows(w http.ResponseWriter, r *http.Request, array bool) *lineRows {
	return &lineRows{out: newStream(w), array: array, frames: r.ProtoMajor == 2}
}

func (l *lineRows) begun() bool { return l.lines > 0 }

func (l *lineRows) line(text []byte) bool {
	if l.array {
		l.out.put(opening(l.lines))
	}
	l.lines++
	l.out.put(text)
	if !l.array {
		l.out.put([]byte{'\n'})
	}
	return l.out.err == nil
}

func opening(n int) []byte {
	if n == 0 {
		return []byte{'['}
	}
	return []byte(",\n")
}

// Header implements exec.Rows.
func (l *lineRows) Header(head exec.Header) error {
	h := api.Header{ColumnNames: []string{}, ColumnTypes: []string{}}
	if head.Push {
		h.QueryID = &head.QueryID
	}
	for _, c := range head.Schema.Columns {
		h.ColumnNames = append(h.ColumnNames, c.Name)
		h.ColumnTypes = append(h.ColumnTypes, c.Type.String())
	}
	kind := typeDelimited
	if l.array {
		kind = typeJSON
	}
	l.out.begin(kind)
	l.push = head.Push
	l.line(raw(h))
	if head.Push { // rows may be long in coming
		l.Flush()
	}
	return l.out.err
}

// Row implements exec.Rows.
func (l *lineRows) Row(cols [][]byte, _ bool) bool {
	return l.line(joined(cols)) && (!l.frames || l.Flush())
}

// Flush implements exec.Rows.
func (l *lineRows) Flush() bool { return !l.push || l.out.flush() }

func (l *lineRows) end(_ string, failure *api.Error) {
	if failure != nil {
		l.line(raw(failure))
	}
	if l.array {
		l.out.put([]byte("]\n"))
	}
	l.out.flush()
}

func joined(cols [][]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(cols, []byte{','})...), ']')
}

// arrayRows writes one JSON array of objects, as ksqlDB does: a header, rows
// and, but for pull queries on tables, a last word.
type arrayRows struct {
	out  *stream
	n    int
	push bool
	word bool // a last word follows the rows
}

func newArrayRows(w http.ResponseWriter) *arrayRows { return &arrayRows{out: newStream(w)} }

func (a *arrayRows) begun() bool { return a.n > 0 }

func (a *arrayRows) element(parts ...[]byte) bool {
	a.out.put(opening(a.n))
	a.n++
	for _, p := range parts {
		a.out.put(p)
	}
	return a.out.err == nil
}

// Header implements exec.Rows.
func (a *arrayRows) Header(h exec.Header) error {
	a.out.begin(typeJSON)
	a.push, a.word = h.Push, h.Push || !h.Table
	a.element(raw(map[string]any{"header": map[string]string{"queryId": h.QueryID, "schema": h.Schema.String()}}))
	if h.Push { // rows may be long in coming
		a.Flush()
	}
	return a.out.err
}

var (
	rowBegin     = []byte(`{"row":{"columns":`)
	rowEnd       = []byte(`}}`)
	rowTombstone = []byte(`,"tombstone":true}}`)
)

// Row implements exec.Rows.
func (a *arrayRows) Row(cols [][]byte, deleted bool) bool {
	tail := rowEnd
	if deleted {
		tail = rowTombstone
	}
	return a.element(rowBegin, joined(cols), tail)
}

// Flush implements exec.Rows. A pull query's rows are followed by others, or
// the end, at once.
func (a *arrayRows) Flush() bool { return !a.push || a.out.flush() }

func (a *arrayRows) end(final string, failure *api.Error) {
	switch {
	case failure != nil:
		a.element(raw(map[string]any{"errorMessage": failure}))
	case a.word:
		a.element(raw(map[string]string{"finalMessage": final}))
	}
	a.out.put([]byte("]\n"))
	a.out.flush()
}

// print answers PRINT: text, a line a record.
func (s *Server) print(w http.ResponseWriter, r *http.Request, p *sql.PrintTopic) {
	out := newStream(w)
	begin := func() { out.begin("text/plain; charset=utf-8") }
	err := s.engine.Print(r.Context(), p, func(line string) bool {
		begin()
		out.put([]byte(line))
		out.put([]byte{'\n'})
		return out.err == nil
	}, func() bool {
		begin()
		return out.flush()
	})
	if err == nil {
		return
	}
	if !out.started {
		s.fail(w, err, p.Text())
		return
	}
	_, e := s.failure(err, p.Text())
	out.put(append(raw(e), '\n'))
	out.flush()
}

// closeQuery answers POST /close-query: a push query ends.
func (s *Server) closeQuery(w http.ResponseWriter, r *http.Request) {
	var req struct {
		QueryID string `json:"queryId"`
	}
	if !decode(w, r, &req) {
		return
	}
	if !s.engine.CloseQuery(req.QueryID) {
		writeError(w, http.StatusBadRequest, &api.Error{Code: api.CodeBadRequest, Message: "No query with id " + req.QueryID})
		return
	}
	writeJSON(w, http.StatusOK, struct{}{})
}
