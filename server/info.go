package server

import (
	"net/http"
	"strings"
	"sync"

	"karst/exec"
	"karst/server/api"
	"karst/sql/types"
)

// Version is the release; the build sets it.
var Version = "0.1.0"

// info answers GET /info.
func (s *Server) info(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"KsqlServerInfo": map[string]string{"version": Version, "serverStatus": "RUNNING", "ksqlServiceId": "karst", "kafkaClusterId": "karst"}})
}

// health answers GET /healthcheck.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	is := func(ok bool) map[string]bool { return map[string]bool{"isHealthy": ok} }
	_, err := s.engine.Log().Topics(r.Context())
	writeJSON(w, http.StatusOK, map[string]any{"isHealthy": err == nil, "serverState": "RUNNING",
		"details": map[string]any{"metastore": is(true), "kafka": is(err == nil), "commandRunner": is(true)}})
}

// clusterStatus answers GET /clusterStatus: the one host there is.
func (s *Server) clusterStatus(w http.ResponseWriter, r *http.Request) {
	host := map[string]any{"hostAlive": true, "lastStatusUpdateMs": s.now().UnixMilli(), "activeStandbyPerQuery": map[string]any{},
		"hostStoreLags": map[string]any{"stateStoreLags": map[string]any{}, "updateTimeMs": s.now().UnixMilli()}}
	writeJSON(w, http.StatusOK, map[string]any{"clusterStatus": map[string]any{r.Host: host}})
}

// statuses keep what came of the last statements, by their command ids.
type statuses struct {
	mu   sync.Mutex
	byID map[string]*api.CommandStatus
	ids  []string // oldest first
}

// maxStatuses bounds the statements that GET /status knows of.
const maxStatuses = 10_000

func (s *statuses) put(id string, status *api.CommandStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]*api.CommandStatus{}
	}
	if _, ok := s.byID[id]; !ok {
		s.ids = append(s.ids, id)
	}
	s.byID[id] = status
	if len(s.ids) > maxStatuses {
		delete(s.byID, s.ids[0])
		s.ids = s.ids[1:]
	}
}

func (s *statuses) get(id string) (*api.CommandStatus, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.byID[id]
	return st, ok
}

// status answers GET /status/{commandId}, for the statements since the start.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	id := strings.Join([]string{r.PathValue("type"), r.PathValue("entity"), r.PathValue("action")}, "/")
	st, ok := s.statuses.get(id)
	if !ok {
		writeError(w, http.StatusNotFound, &api.Error{Code: api.CodeNotFound, Message: "Command not found: " + id})
		return
	}
	writeJSON(w, http.StatusOK, st)
}

// validProperty answers GET /is_valid_property/{name}: whether SET takes it.
func (s *Server) validProperty(w http.ResponseWriter, r *http.Request) {
	if err := exec.CheckPropertyName(r.PathValue("name"), types.Pos{}); err != nil {
		s.fail(w, err, "")
		return
	}
	writeJSON(w, http.StatusOK, true)
}
