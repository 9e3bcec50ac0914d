package server

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"

	"karst/server/api"
)

// inserts answers POST /inserts-stream: the first line names the target, each
// other is a row, an object of its columns; each is acknowledged once it is
// durable, while the request is still being read.
func (s *Server) inserts(w http.ResponseWriter, r *http.Request) {
	free := take(w, &s.uploads, s.limits.uploads, "requests that send rows or records")
	if free == nil {
		return
	}
	defer free()
	lastRequest(w, r)
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 has it anyway
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(make([]byte, 64<<10), maxBodyBytes)
	var head struct {
		Target     string                     `json:"target"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || head.Target == "" {
		writeError(w, http.StatusBadRequest, &api.Error{Code: api.CodeBadRequest, Message: `the first line names the stream: {"target": "NAME"}`})
		return
	}
	if _, err := session(head.Properties, nil); err != nil {
		s.fail(w, err, "")
		return
	}
	insert, err := s.engine.Inserter(head.Target)
	if err != nil {
		s.fail(w, err, "")
		return
	}
	out := newStream(w)
	out.begin(typeDelimited)
	out.flush()
	bodyIn(w, s.limits.line)
	for seq := int64(0); lines.Scan(); seq++ {
		bodyIn(w, s.limits.line)
		if len(lines.Bytes()) == 0 {
			continue
		}
		if !s.insertLine(r.Context(), insert, lines.Bytes(), seq, out) {
			return
		}
	}
	if err := lines.Err(); err != nil {
		_, e := s.failure(userError("reading the rows: "+err.Error()), "")
		out.put(append(raw(e), '\n'))
		out.flush()
	}
}

// insertLine inserts a row and says so; after a row that is refused nothing
// more is read.
func (s *Server) insertLine(ctx context.Context, insert func(context.Context, []byte) error, row []byte, seq int64, out *stream) bool {
	err := insert(ctx, row)
	if err == nil {
		out.put(append(raw(map[string]any{"status": "ok", "seq": seq}), '\n'))
		return out.flush()
	}
	_, e := s.failure(err, "")
	out.put(append(raw(map[string]any{"status": "error", "seq": seq, "@type": api.GenericError, "error_code": api.CodeBadRequest, "message": e.Message}), '\n'))
	out.flush()
	return false
}
