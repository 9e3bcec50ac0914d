package server

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"karst/server/api"
)

// Bounds of what clients can have the server hold. Those of the Kafka door are
// in server/wire.
const (
	maxBodyBytes   = 1 << 20 // of a statement
	maxPushQueries = 10_000  // at a time, PRINT and readers of topics among them
	maxUploads     = 1_000   // requests at a time that send rows or records
	maxConnections = 10_000
	maxHeaderBytes = 64 << 10
	maxChunkBytes  = 1 << 20 // of records that are acknowledged together, about
)

// limits are a Server's; tests have others.
type limits struct {
	connections int64
	uploads     int64
	body        time.Duration // how long a request's body may take, where it does not stream
	line        time.Duration // how long a body that streams may take for a line
}

func defaultLimits() limits {
	return limits{connections: maxConnections, uploads: maxUploads, body: 30 * time.Second, line: 10 * time.Minute}
}

// LimitConnections bounds how many connections there may be at a time; 10,000 if
// it is not called, which is for before HTTP.
func (s *Server) LimitConnections(n int) { s.limits.connections = int64(n) }

// limitConnections returns a hook for an http.Server that closes the connections
// beyond the limit.
func (s *Server) limitConnections() func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > s.limits.connections {
				s.logger.Warn("HTTP connection refused: too many", "client", c.RemoteAddr().String(), "limit", s.limits.connections)
				_ = c.Close()
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
}

// bodyIn gives a request's body its time; whoever goes on without it says so by
// bodyDone. Not every reader has deadlines.
func bodyIn(w http.ResponseWriter, d time.Duration) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d))
}

func bodyDone(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// lastRequest has an HTTP/1 connection end after the answer, for a request whose
// body may not be read to its end: else the connection would wait for the rest.
func lastRequest(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// take counts one more of what may run at most times at a time; free counts it
// off. Beyond that the request is answered and free is nil.
func take(w http.ResponseWriter, running *atomic.Int64, most int64, what string) (free func()) {
	if running.Add(1) > most {
		running.Add(-1)
		writeError(w, http.StatusServiceUnavailable, &api.Error{Code: api.CodeUnavailable, Message: fmt.Sprintf("%d %s run already, more are not taken", most, what)})
		return nil
	}
	return func() { running.Add(-1) }
}
