package server

import (
	"bufio"
	"net/http"
	"time"
)

// A stream writes an answer that has no end. A client that takes nothing for
// stallTimeout is given up: its query ends, and nothing else waits for it.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buf     *bufio.Writer
	started bool
	err     error
}

// stallTimeout is how long a client may take nothing of what is sent.
const stallTimeout = 30 * time.Second

// streamBytes are held back until a flush.
const streamBytes = 32 << 10

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w: w, control: http.NewResponseController(w)}
	s.buf = bufio.NewWriterSize(deadlineWriter{s}, streamBytes)
	return s
}

// deadlineWriter gives each write its time.
type deadlineWriter struct{ s *stream }

func (d deadlineWriter) Write(p []byte) (int, error) {
	_ = d.s.control.SetWriteDeadline(time.Now().Add(stallTimeout)) // not every writer has one
	return d.s.w.Write(p)
}

// begin sends the head of the answer, once.
func (s *stream) begin(contentType string) {
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", contentType)
		s.w.Header().Set("X-Content-Type-Options", "nosniff")
		s.w.WriteHeader(http.StatusOK)
	}
}

// put writes p; after the first error nothing more.
func (s *stream) put(p []byte) {
	if s.err == nil {
		_, s.err = s.buf.Write(p)
	}
}

// flush sends what was put; false if the client has gone.
func (s *stream) flush() bool {
	if s.err == nil {
		s.err = s.buf.Flush()
	}
	if s.err == nil {
		_ = s.control.SetWriteDeadline(time.Now().Add(stallTimeout))
		s.err = s.control.Flush()
	}
	return s.err == nil
}
