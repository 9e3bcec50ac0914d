package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
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
}

// maxBodyBytes bounds the body of a statement.
const maxBodyBytes = 1 << 20

// New returns a server over an engine.
func New(e *exec.Engine, logger *slog.Logger, now func() time.Time) *Server {
	s := &Server{engine: e, logger: logger, now: now, mux: http.NewServeMux()}
	s.mux.HandleFunc("POST /ksql", s.ksql)
	s.mux.HandleFunc("POST /query", s.query)
	s.mux.HandleFunc("POST /query-stream", s.queryStream)
	s.mux.HandleFunc("GET /info", s.info)
	s.mux.HandleFunc("GET /healthcheck", s.health)
	s.mux.HandleFunc("POST /topics/{name}/records", s.produce)
	s.mux.HandleFunc("GET /topics/{name}/records", s.consume)
	return s
}

// HTTP returns an http.Server that speaks HTTP/1.1 and cleartext HTTP/2.
func (s *Server) HTTP() *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: s, Protocols: p, ReadHeaderTimeout: 5 * time.Second}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host {
		writeError(w, http.StatusForbidden, &api.Error{Code: 40300, Message: "requests from another origin are refused"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func writeError(w http.ResponseWriter, status int, e *api.Error) {
	if e.Type == "" {
		e.Type = "generic_error"
	}
	writeJSON(w, status, e)
}

// failure turns an error into a status and a body; one table for all
// endpoints. Only users' errors and the log's known ones are shown.
func (s *Server) failure(err error, statement string) (int, *api.Error) {
	var user *types.Error
	var many types.Errors
	switch {
	case errors.As(err, &many), errors.As(err, &user):
		e := &api.Error{Type: "statement_error", Code: api.CodeBadStatement, Message: err.Error(), Statement: statement}
		return http.StatusBadRequest, e
	case errors.Is(err, log.ErrUnknownTopic):
		return http.StatusNotFound, &api.Error{Type: "generic_error", Code: api.CodeNotFound, Message: err.Error()}
	case errors.Is(err, log.ErrRecordTooLarge), errors.Is(err, log.ErrInvalidTopic), errors.Is(err, log.ErrOffsetRange):
		return http.StatusBadRequest, &api.Error{Type: "generic_error", Code: api.CodeBadRequest, Message: err.Error()}
	}
	s.logger.Error("request failed", "error", err)
	return http.StatusInternalServerError, &api.Error{Type: "generic_error", Code: api.CodeServerError, Message: err.Error()}
}

// session makes a session of a request's properties, whose values may be
// strings, numbers or booleans.
func session(props map[string]json.RawMessage, vars map[string]string) *exec.Session {
	s := &exec.Session{Properties: map[string]string{}, Variables: vars}
	for k, raw := range props {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		s.Properties[k] = text
	}
	return s
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes)).Decode(v); err != nil {
		writeError(w, http.StatusBadRequest, &api.Error{Code: api.CodeBadRequest, Message: "the body is not the JSON that is expected: " + err.Error()})
		return false
	}
	return true
}
