package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"karst/exec"
	"karst/server/api"
	"karst/sql"
)

// ksql answers POST /ksql: statements, one after the other, up to the first
// that fails.
func (s *Server) ksql(w http.ResponseWriter, r *http.Request) {
	var req api.StatementRequest
	if !decode(w, r, &req) {
		return
	}
	sess, err := session(req.Properties, req.Variables)
	if err != nil {
		s.fail(w, err, req.Text)
		return
	}
	entities, failed, err := s.statements(r.Context(), req.Text, sess)
	if err == nil {
		writeJSON(w, http.StatusOK, entities)
		return
	}
	if failed == "" {
		failed = req.Text
	}
	status, e := s.failure(err, failed)
	e.Entities = entities
	writeError(w, status, e)
}

// statements runs the statements of a text. On a failure it returns the
// answers before it and the text of the statement that failed, "" if the text
// could not be read at all.
func (s *Server) statements(ctx context.Context, text string, sess *exec.Session) (entities []api.Entity, failed string, err error) {
	entities = []api.Entity{}
	stmts, err := sql.Parse(text, sql.Options{Variables: sess.Variables})
	if err != nil {
		return entities, "", err
	}
	for _, stmt := range stmts {
		r, err := s.statement(ctx, stmt, sess)
		if err != nil {
			return entities, stmt.Text() + ";", err
		}
		if e, ok := entity(*r); ok {
			entities = append(entities, e)
			if e.CommandID != nil {
				s.statuses.put(*e.CommandID, e.Status)
			}
		}
	}
	return entities, "", nil
}

// assertEvery is how often an ASSERT that may wait is asked again.
const assertEvery = 50 * time.Millisecond

// statement runs one statement; an ASSERT with a TIMEOUT until it holds. The time is
// for waiting: to look takes as long as it takes.
func (s *Server) statement(ctx context.Context, stmt sql.Statement, sess *exec.Session) (*exec.Result, error) {
	wait := assertTimeout(stmt)
	if wait == 0 {
		return s.engine.ExecuteStatement(ctx, stmt, sess)
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	tick := time.NewTicker(assertEvery)
	defer tick.Stop()
	for {
		r, err := s.engine.ExecuteStatement(ctx, stmt, sess)
		var unmet *exec.UnmetError
		if !errors.As(err, &unmet) {
			return r, err
		}
		select {
		case <-tick.C:
		case <-end.C:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

// maxAssertTimeout bounds the TIMEOUT of an ASSERT.
const maxAssertTimeout = time.Hour

func assertTimeout(stmt sql.Statement) time.Duration {
	var d *sql.Duration
	switch x := stmt.(type) {
	case *sql.AssertTopic:
		d = x.Timeout
	case *sql.AssertSchema:
		d = x.Timeout
	}
	if d == nil {
		return 0
	}
	return min(time.Duration(min(d.MS(), maxAssertTimeout.Milliseconds()))*time.Millisecond, maxAssertTimeout)
}
