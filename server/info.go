package server

import "net/http"

// Version is the release; the build sets it.
var Version = "0.1.0"

// info answers GET /info.
func (s *Server) info(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"KsqlServerInfo": map[string]string{"version": Version, "serverStatus": "RUNNING", "ksqlServiceId": "karst", "kafkaClusterId": "karst"}})
}

// health answers GET /healthcheck.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	ok := map[string]bool{"isHealthy": true}
	writeJSON(w, http.StatusOK, map[string]any{"isHealthy": true, "details": map[string]any{"metastore": ok, "log": ok}})
}
