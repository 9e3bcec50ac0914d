package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"karst/exec"
	"karst/log"
	"karst/server/api"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// chunkRecords is how many records are acknowledged together at most; see also
// maxChunkBytes.
const chunkRecords = 1000

// produce answers POST /topics/{name}/records: NDJSON in, an acknowledgement
// for each chunk out, while the request is still being read.
func (s *Server) produce(w http.ResponseWriter, r *http.Request) {
	topic := r.PathValue("name")
	info, err := s.engine.Log().Topic(r.Context(), topic)
	if err != nil {
		status, e := s.failure(err, "")
		writeError(w, status, e)
		return
	}
	keyless := r.URL.Query().Get("keyless")
	if keyless != "" && keyless != "drop" {
		writeError(w, http.StatusBadRequest, &api.Error{Type: api.GenericError, Code: api.CodeBadRequest, Message: "keyless is drop or not given, not " + strconv.Quote(keyless)})
		return
	}
	free := take(w, &s.uploads, s.limits.uploads, "requests that send rows or records")
	if free == nil {
		return
	}
	defer free()
	lastRequest(w, r)
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 has it anyway
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	p := &producer{s: s, ctx: r.Context(), topic: topic, out: newStream(w)}
	p.drops = keyless == "drop" && slices.Contains(strings.Split(info.Config["cleanup.policy"], ","), "compact")
	p.out.begin("application/x-ndjson")
	bodyIn(w, s.limits.line)
	for lines.Scan() {
		bodyIn(w, s.limits.line)
		if err := p.line(lines.Bytes()); err != nil {
			p.fail(err)
			return
		}
	}
	if err := lines.Err(); err != nil {
		p.fail(err)
		return
	}
	if err := p.send(); err != nil {
		p.fail(err)
	}
}

type producer struct {
	s     *Server
	ctx   context.Context
	topic string
	out   *stream
	batch []exec.Record
	bytes int // of batch, as it came
	acked int64
	read  int64

	drops   bool // records without a key, since the topic is compacted
	dropped int64
}

func (p *producer) line(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	p.read++
	var r api.Record
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("record %d is not the JSON that is expected: %w", p.read, err)
	}
	rec := exec.Record{Time: p.s.now().UnixMilli(), Key: r.KeyBytes(), Value: r.ValueBytes()}
	if r.Timestamp != nil {
		rec.Time = *r.Timestamp
	}
	if r.Partition != nil {
		rec.Partition, rec.Placed = *r.Partition, true
	}
	if r.KeyText != nil {
		key, err := p.s.keyBytes(p.topic, *r.KeyText)
		if err != nil {
			return fmt.Errorf("record %d: %w", p.read, err)
		}
		rec.Key = key
	}
	if rec.Key == nil && p.drops {
		p.dropped++
		return nil
	}
	p.bytes += len(text)
	if p.batch = append(p.batch, rec); len(p.batch) >= chunkRecords || p.bytes >= maxChunkBytes {
		return p.send()
	}
	return nil
}

func (p *producer) send() error {
	if len(p.batch) > 0 {
		if err := p.s.engine.Produce(p.ctx, p.topic, p.batch); err != nil {
			return err
		}
	}
	p.acked += int64(len(p.batch))
	clear(p.batch)
	p.batch, p.bytes = p.batch[:0], 0
	p.out.put(append(raw(api.Ack{Acknowledged: p.acked, Dropped: p.dropped}), '\n'))
	p.out.flush()
	return p.out.err
}

func (p *producer) fail(err error) {
	p.out.put(append(raw(api.Ack{Acknowledged: p.acked, Dropped: p.dropped, Error: err.Error()}), '\n'))
	p.out.flush()
}

// keyBytes serializes a key given as text as the topic's source declares it.
func (s *Server) keyBytes(topic, text string) ([]byte, error) {
	o, cols := s.engine.KeyEncoderFor(topic)
	a := vector.NewArena()
	b := vector.NewBuilder(a, cols[0].Type, 1)
	if cols[0].Type.Kind() == types.KindString {
		b.String(text)
	} else {
		d, err := format.NewDecoder(format.Options{Name: "DELIMITED"}, cols, nil)
		if err != nil {
			return nil, err
		}
		var failed string
		in := &format.Cells{Buf: []byte(text), Off: []int32{0}, Len: []int32{int32(len(text))}}
		v := d.Decode(a, in, 1, func(_ int, _, m string) { failed = m })
		if failed != "" {
			return nil, errors.New(failed)
		}
		b.Append(v[0], 0)
	}
	enc, err := format.NewEncoder(o, cols)
	if err != nil {
		return nil, err
	}
	var out format.Cells
	if err := enc.Encode([]*vector.Vector{b.Finish()}, []int32{0}, &out); err != nil {
		return nil, err
	}
	return out.At(0), nil
}

// consume answers GET /topics/{name}/records: NDJSON. from=beginning starts at
// the beginning, exit=true ends at the end as of now, max=N after N records.
func (s *Server) consume(w http.ResponseWriter, r *http.Request) {
	topic := r.PathValue("name")
	t, err := s.engine.Log().Topic(r.Context(), topic)
	if err != nil {
		status, e := s.failure(err, "")
		writeError(w, status, e)
		return
	}
	q := r.URL.Query()
	most := int64(-1)
	if m := q.Get("max"); m != "" {
		if most, err = strconv.ParseInt(m, 10, 64); err != nil || most < 0 {
			writeError(w, http.StatusBadRequest, &api.Error{Code: api.CodeBadRequest, Message: "max must be a number, found " + m})
			return
		}
	}
	free := take(w, &s.pushes, maxPushQueries, "push queries and readers")
	if free == nil {
		return
	}
	defer free()
	c := &consumer{s: s, out: newStream(w), left: most}
	if err := c.run(r.Context(), t, q.Get("from") == "beginning", q.Get("exit") == "true"); err != nil && r.Context().Err() == nil {
		s.logger.Warn("consuming ended", "topic", topic, "error", err)
	}
}

type consumer struct {
	s    *Server
	out  *stream
	left int64 // records still wanted; -1: no limit
	recs log.Records
}

func (c *consumer) run(ctx context.Context, t log.Topic, beginning, exit bool) error {
	wake := make(chan struct{}, 1)
	stop := c.s.engine.Log().Watch(func(topic string) {
		if topic == t.Name {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	})
	defer stop()
	next, end := make([]int64, t.Partitions), make([]int64, t.Partitions)
	for i := range next {
		b, err := c.s.engine.Log().Bounds(ctx, log.Partition{Topic: t.Name, Index: int32(i)})
		if err != nil {
			return err
		}
		next[i], end[i] = b.HighWatermark, b.HighWatermark
		if beginning {
			next[i] = b.Start
		}
	}
	c.out.begin("application/x-ndjson")
	c.out.flush()
	for {
		moved := false
		for i := range next {
			for (!exit || next[i] < end[i]) && c.left != 0 {
				to, err := c.fetch(ctx, t.Name, int32(i), next[i])
				if err != nil {
					return err
				}
				if to == next[i] {
					break
				}
				next[i], moved = to, true
			}
		}
		if exit || c.left == 0 {
			return nil
		}
		if moved {
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *consumer) fetch(ctx context.Context, topic string, partition int32, offset int64) (int64, error) {
	to, err := c.s.engine.Log().Fetch(ctx, log.Partition{Topic: topic, Index: partition}, offset, 1<<20, &c.recs)
	if err != nil {
		return offset, err
	}
	for i := range c.recs.Len() {
		if c.left == 0 {
			break
		}
		out := api.Record{Timestamp: &c.recs.Timestamps[i], Partition: &partition, Offset: &c.recs.Offsets[i]}
		out.Key, out.KeyBase64 = textOrBytes(c.recs.Key(i))
		out.Value, out.ValueBase64 = textOrBytes(c.recs.Value(i))
		c.out.put(append(raw(out), '\n'))
		if c.left > 0 {
			c.left--
		}
	}
	c.out.flush()
	return to, c.out.err
}

func textOrBytes(b []byte) (*string, []byte) {
	if b == nil {
		return nil, nil
	}
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	return nil, b
}
