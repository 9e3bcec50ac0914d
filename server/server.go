package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"karst/exec"
	"karst/log"
	"karst/server/api"
	"karst/sql/types"
)

// A Server answers the HTTP API from an engine.
type Server struct {
	engine *exec.Engine
	logger *slog.Logger
	now    func() time.Time
	mux    *http.ServeMux

	metrics  metrics
	statuses statuses
	limits   limits
	pushes   atomic.Int64 // push queries that run, and readers of topics
	uploads  atomic.Int64 // requests that send rows or records
}

// New returns a server over an engine.
func New(e *exec.Engine, logger *slog.Logger, now func() time.Time) *Server {
	s := &Server{engine: e, logger: logger, now: now, mux: http.NewServeMux(), metrics: newMetrics(), limits: defaultLimits()}
	s.Collect(e)
	s.mux.HandleFunc("POST /ksql", s.ksql)
	s.mux.HandleFunc("POST /query", s.query)
	s.mux.HandleFunc("POST /query-stream", s.queryStream)
	s.mux.HandleFunc("POST /close-query", s.closeQuery)
	s.mux.HandleFunc("POST /inserts-stream", s.inserts)
	s.mux.HandleFunc("GET /info", s.info)
	s.mux.HandleFunc("GET /healthcheck", s.health)
	s.mux.HandleFunc("GET /metrics", s.metricsText)
	s.mux.HandleFunc("GET /clusterStatus", s.clusterStatus)
	s.mux.HandleFunc("GET /status/{type}/{entity}/{action}", s.status)
	s.mux.HandleFunc("GET /is_valid_property/{name}", s.validProperty)
	s.mux.HandleFunc("POST /topics/{name}/records", s.produce)
	s.mux.HandleFunc("GET /topics/{name}/records", s.consume)
	s.mux.HandleFunc("/", s.unknown)
	return s
}

// HTTP returns an http.Server that speaks HTTP/1.1 and cleartext HTTP/2.
func (s *Server) HTTP() *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: s, Protocols: p, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 10 * time.Minute,
		MaxHeaderBytes: maxHeaderBytes, ConnState: s.limitConnections(),
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 { // also of a body that nobody reads
		bodyIn(w, s.limits.body)
	}
	if why := refused(r); why != "" {
		writeError(w, http.StatusForbidden, &api.Error{Code: api.CodeForbidden, Message: why})
		return
	}
	defer s.recovered(w, r)
	defer s.metrics.ended(r)
	s.mux.ServeHTTP(w, r)
}

// recovered answers a request in which the server's own code has failed; the
// others go on.
func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	failure := recover()
	switch failure {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(failure)
	}
	s.logger.Error("a request failed by a fault of the server's", "method", r.Method, "path", r.URL.Path, "failure", failure, "stack", string(debug.Stack()))
	writeError(w, http.StatusInternalServerError, &api.Error{Code: api.CodeServerError, Message: "the server failed; its log says more"})
}

// unknown answers requests for what there is not.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	writeError(w, http.StatusNotFound, &api.Error{Code: api.CodeNotFound, Message: "there is no " + r.Method + " " + r.URL.Path})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(stallTimeout)) // not every writer has one
	_, _ = w.Write(append(raw(v), '\n'))                                             // or the client has gone
}

func writeError(w http.ResponseWriter, status int, e *api.Error) {
	if e.Type == "" {
		e.Type = api.GenericError
	}
	writeJSON(w, status, e)
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, err error, statement string) {
	status, e := s.failure(err, statement)
	writeError(w, status, e)
}

func userError(message string) *types.Error {
	return types.Errorf(types.ErrStatement, types.Pos{}, "%s", message)
}

// failure turns an error into a status and a body; one table for all
// endpoints. What is no fault of the user's is logged too.
func (s *Server) failure(err error, statement string) (int, *api.Error) {
	var user *types.Error
	var many types.Errors
	switch {
	case errors.As(err, &many), errors.As(err, &user):
		return http.StatusBadRequest, &api.Error{Type: api.StatementError, Code: api.CodeBadStatement, Message: fullText(err, many), Statement: statement, Entities: []api.Entity{}}
	case errors.Is(err, log.ErrUnknownTopic):
		return http.StatusNotFound, &api.Error{Type: api.GenericError, Code: api.CodeNotFound,
			Message: err.Error() + "; CREATE STREAM … WITH (KAFKA_TOPIC='…', VALUE_FORMAT='…', PARTITIONS=1) makes a topic"}
	case errors.Is(err, log.ErrRecordTooLarge), errors.Is(err, log.ErrInvalidRecord), errors.Is(err, log.ErrLimit), errors.Is(err, log.ErrInvalidTopic), errors.Is(err, log.ErrOffsetRange):
		return http.StatusBadRequest, &api.Error{Type: api.GenericError, Code: api.CodeBadRequest, Message: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, &api.Error{Type: api.GenericError, Code: api.CodeUnavailable, Message: "the time for this query is over: " + err.Error()}
	}
	s.logger.Error("request failed", "error", err)
	return http.StatusInternalServerError, &api.Error{Type: api.GenericError, Code: api.CodeServerError, Message: err.Error()}
}

// fullText is an error's text, of several errors each on a line of its own.
func fullText(err error, many types.Errors) string {
	if len(many) < 2 {
		return err.Error()
	}
	return errors.Join(many.Unwrap()...).Error()
}

// session makes a session of a request's properties and variables, whose
// values may be strings, numbers or booleans.
func session(props, vars map[string]json.RawMessage) (*exec.Session, error) {
	s := &exec.Session{Properties: map[string]string{}, Variables: map[string]string{}}
	for _, part := range []struct {
		in  map[string]json.RawMessage
		out map[string]string
	}{{props, s.Properties}, {vars, s.Variables}} {
		for k, raw := range part.in {
			text := string(raw)
			if raw[0] == '"' {
				if err := json.Unmarshal(raw, &text); err != nil {
					return nil, userError(fmt.Sprintf("the value of '%s' is not a string: %s", k, raw))
				}
			} else if raw[0] == '{' || raw[0] == '[' {
				return nil, userError(fmt.Sprintf("the value of '%s' must be a string, a number or a boolean, found %s", k, raw))
			}
			part.out[k] = text
		}
	}
	for k, v := range s.Properties {
		if err := exec.CheckProperty(k, v, types.Pos{}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// decode reads a request's body.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes)).Decode(v)
	if err == nil {
		bodyDone(w)
		return true
	}
	lastRequest(w, r)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		writeError(w, http.StatusRequestEntityTooLarge, &api.Error{Code: api.CodeTooLarge, Message: fmt.Sprintf("the body is larger than %d bytes", large.Limit)})
		return false
	}
	writeError(w, http.StatusBadRequest, &api.Error{Code: api.CodeBadRequest, Message: "the body is not the JSON that is expected: " + err.Error()})
	return false
}
