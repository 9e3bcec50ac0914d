package server

import (
	"net/http"

	"karst/exec"
	"karst/server/api"
)

// ksql answers POST /ksql.
func (s *Server) ksql(w http.ResponseWriter, r *http.Request) {
	var req api.StatementRequest
	if !decode(w, r, &req) {
		return
	}
	results, err := s.engine.Execute(r.Context(), req.Text, session(req.Properties, req.Variables))
	if err != nil {
		status, e := s.failure(err, req.Text)
		writeError(w, status, e)
		return
	}
	out := []api.Entity{}
	for _, res := range results {
		if e, ok := entity(res); ok {
			out = append(out, e)
		}
	}
	writeJSON(w, http.StatusOK, out)
}

// entity turns a result into what the API says of it; an INSERT says nothing.
func entity(r exec.Result) (api.Entity, bool) {
	e := api.Entity{Type: r.Kind, Statement: r.Statement, Message: r.Message, Columns: r.Columns, Rows: r.Rows}
	switch r.Kind {
	case "inserted":
		return e, false
	case "status":
		e.Type = "currentStatus"
		e.Message = ""
		e.Status = &api.CommandStatus{Status: "SUCCESS", Message: r.Message, QueryID: r.QueryID}
	}
	return e, true
}
