package exec

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"karst/log"
	"karst/planner/catalog"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// Print answers PRINT: out takes a line for each record of the topic, flush is
// called when no record follows at once; both return false to end it. It ends
// with ctx or at its LIMIT.
func (e *Engine) Print(ctx context.Context, x *sql.PrintTopic, out func(line string) bool, flush func() bool) error {
	topic, err := e.findTopic(ctx, x)
	if err != nil {
		return err
	}
	p := &printer{e: e, topic: topic, every: max(x.Interval, 1), limit: -1, out: out, texts: format.NewTexts(e.opts.Registry)}
	if x.Limit != nil {
		p.limit = *x.Limit
	}
	p.source = e.sourceOn(topic.Name)
	wake, stop := e.watch(map[string]bool{topic.Name: true})
	defer stop()
	next, err := p.begin(ctx, x.FromBeginning)
	if err != nil {
		return err
	}
	if !p.describe() || !flush() {
		return nil
	}
	for p.limit != 0 {
		moved := false
		for i := range next {
			to, err := p.fetch(ctx, int32(i), next[i])
			if err != nil {
				return ignoreCancel(ctx, err)
			}
			moved = moved || to > next[i]
			next[i] = to
		}
		switch {
		case p.ended || !flush():
			return nil
		case moved:
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil
		case <-e.ctx.Done():
			return nil
		}
	}
	return nil
}

// findTopic finds the topic of a PRINT. An unquoted name stands for the topic
// of that very name, in any case if only one is like it.
func (e *Engine) findTopic(ctx context.Context, x *sql.PrintTopic) (log.Topic, error) {
	if t, err := e.opts.Log.Topic(ctx, x.Topic); err == nil {
		return t, nil
	}
	all, err := e.opts.Log.Topics(ctx)
	if err != nil {
		return log.Topic{}, err
	}
	var like []log.Topic
	var names []string
	for _, t := range all {
		if strings.EqualFold(t.Name, x.Topic) {
			like = append(like, t)
		}
		names = append(names, t.Name)
	}
	if len(like) == 1 {
		return like[0], nil
	}
	fault := types.Errorf(types.ErrNotFound, x.Pos(), "Could not find topic '%s', or the KSQL user does not have permissions to list the topic. Topic names are case-sensitive.", x.Topic)
	fault.Message = fmt.Sprintf("there is no topic '%s'", x.Topic)
	fault.Hint = "SHOW TOPICS lists them."
	if n := nearestName(x.Topic, names); n != "" {
		fault.Hint = "Did you mean '" + n + "'?"
	}
	return log.Topic{}, fault
}

// sourceOn returns a stream or table that is declared on the topic, nil if
// there is none.
func (e *Engine) sourceOn(topic string) *catalog.Source {
	cat := e.Catalog()
	for _, name := range cat.SourceNames() {
		if src, _ := cat.Source(name); src.Topic == topic {
			return src
		}
	}
	return nil
}

// A printer turns a topic's records into text.
type printer struct {
	e      *Engine
	topic  log.Topic
	source *catalog.Source // declared on the topic; nil if none is
	every  int64
	seen   int64
	limit  int64 // lines still wanted; -1: no limit
	ended  bool
	out    func(string) bool
	recs   log.Records
	texts  *format.Texts
}

// begin returns where to read from.
func (p *printer) begin(ctx context.Context, beginning bool) ([]int64, error) {
	bounds, err := p.e.bounds(ctx, p.topic.Name)
	if err != nil {
		return nil, err
	}
	var next []int64
	for _, b := range bounds {
		if beginning {
			next = append(next, b.Start)
		} else {
			next = append(next, b.End)
		}
	}
	return next, nil
}

// describe tells how keys and values are read.
func (p *printer) describe() bool {
	key, value := "text", "text"
	if p.source != nil {
		key, value = p.source.KeyFormat.Name, p.source.ValueFormat.Name
	}
	return p.out("Key format: "+key) && p.out("Value format: "+value)
}

func (p *printer) fetch(ctx context.Context, partition int32, offset int64) (int64, error) {
	next, err := p.e.opts.Log.Fetch(ctx, log.Partition{Topic: p.topic.Name, Index: partition}, offset, 1<<20, &p.recs)
	if err != nil {
		return offset, err
	}
	for i := range p.recs.Len() {
		if p.limit == 0 || p.ended {
			break
		}
		if p.seen++; (p.seen-1)%p.every != 0 {
			continue
		}
		at := time.UnixMilli(p.recs.Timestamps[i]).UTC().Format("2006/01/02 15:04:05.000 Z")
		line := fmt.Sprintf("rowtime: %s, key: %s, value: %s, partition: %d, offset: %d", at, p.key(p.recs.Key(i)), p.text(p.recs.Value(i)), partition, p.recs.Offsets[i])
		if !p.out(line) {
			p.ended = true
		}
		if p.limit > 0 {
			p.limit--
		}
	}
	return next, nil
}

// text shows what a record holds: by its schema, if it names one.
func (p *printer) text(b []byte) string {
	if s, name := p.texts.Text(nil, b); name != "" {
		return string(s)
	}
	return printable(b)
}

// key shows a key: a number where a source on the topic says that it is one,
// with its window if it has one.
func (p *printer) key(key []byte) string {
	if key == nil || p.source == nil {
		return p.text(key)
	}
	window := ""
	if w := p.source.Window; w != nil {
		var ok bool
		if key, window, ok = splitWindow(key, w); !ok {
			return printable(key)
		}
	}
	cols := p.source.Schema.Keys()
	if p.source.KeyFormat.Name != "KAFKA" || len(cols) != 1 || cols[0].Type.Kind() == types.KindString {
		return p.text(key) + window
	}
	d, err := format.NewDecoder(format.Options{Name: "KAFKA", Key: true}, cols, nil)
	if err != nil {
		return printable(key) + window
	}
	failed := false
	in := &format.Cells{Buf: key, Off: []int32{0}, Len: []int32{int32(len(key))}}
	v := d.Decode(vector.NewArena(), in, 1, func(int, string, string) { failed = true })
	if failed {
		return printable(key) + window
	}
	return string(format.AppendJSON(nil, v[0], 0)) + window
}

// printable shows bytes: text as it is, others as hexadecimal digits.
func printable(b []byte) string {
	switch {
	case b == nil:
		return "<null>"
	case utf8.Valid(b):
		return string(b)
	}
	return "0x" + hex.EncodeToString(b)
}
