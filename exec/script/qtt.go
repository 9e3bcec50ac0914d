package script

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"karst/exec"
	"karst/log"
	"karst/log/segment"
	"karst/sql"
	"karst/sql/types"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A queryCase is one test of ksqlDB's query-validation format: statements,
// input records, expected output records.
type queryCase struct {
	Name       string
	Enabled    *bool
	Format     []string
	Properties map[string]any
	Statements []string
	Topics     []struct {
		Name       string
		Partitions int
	}
	Inputs, Outputs []caseRecord
	Error           *struct{ Type, Message string } `json:"expectedException"`
	Post            struct {
		Sources []struct{ Name, Type, Schema string }
	}
}

type caseRecord struct {
	Topic     string
	Key       json.RawMessage
	Value     json.RawMessage
	Timestamp *int64
	Window    *struct {
		Start, End int64
		Type       string
	}
	Headers []struct {
		Key   string
		Value []byte
	}
}

var (
	caseLineComment  = regexp.MustCompile(`(?m)^\s*//.*$`)
	caseBlockComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
)

// runCases runs the query cases of a .json file, each format apart.
func runCases(ctx context.Context, path string, out io.Writer, sum *Summary) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text = caseBlockComment.ReplaceAll(caseLineComment.ReplaceAll(text, nil), nil)
	var file struct{ Tests []json.RawMessage }
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	rest := isRestFile(file.Tests)
	for _, raw := range file.Tests {
		var c restCase
		if err := decodeExact(bytes.NewReader(raw), &c); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		formats := c.Format
		if len(formats) == 0 {
			formats = []string{""}
		}
		for _, f := range formats {
			name := strings.TrimSuffix(filepath.Base(path), ".json") + " - " + c.Name
			if f != "" {
				name += " - " + f
			}
			if c.Enabled != nil && !*c.Enabled {
				sum.Skipped++
				continue
			}
			run := func() string { return runCase(ctx, &c.queryCase, f) }
			if rest {
				run = func() string { return runRestCase(ctx, &c, f) }
			}
			if fault := run(); fault != "" {
				sum.Failed++
				fmt.Fprintf(out, "FAIL %s\n%s\n%s\n\n", name, strings.Join(c.Statements, "\n"), fault)
			} else {
				sum.Passed++
			}
		}
	}
	return nil
}

// caseTimeout bounds one case.
const caseTimeout = 10 * time.Second

// runCase returns what is wrong, "" if nothing is.
func runCase(ctx context.Context, c *queryCase, f string) string {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	l, err := segment.Open(segment.Options{FS: vfs.NewMem(), Dir: "log", Rand: rand.New(rand.NewPCG(1, 2)).Uint64})
	if err != nil {
		return err.Error()
	}
	defer l.Close()
	e, err := exec.Open(exec.Options{Log: l, Now: func() time.Time { return time.UnixMilli(0) }, Rand: rand.Uint64,
		Settings: map[string]string{"ksql.streams.cache.max.bytes.buffering": "0", "auto.offset.reset": "earliest"}})
	if err != nil {
		return err.Error()
	}
	defer e.Close()
	r := &caseRun{ctx: ctx, c: c, format: f, log: l, engine: e, session: &exec.Session{Properties: map[string]string{}}}
	for k, v := range c.Properties {
		r.session.Properties[k] = fmt.Sprint(v)
	}
	return r.run()
}

type caseRun struct {
	ctx     context.Context
	c       *queryCase
	format  string
	log     *segment.Log
	engine  *exec.Engine
	session *exec.Session
	byKey   bool // inputs go to the partition of their key, not to the first
}

func (r *caseRun) run() string {
	if err := r.makeTopics(); err != nil {
		return err.Error()
	}
	_, err := r.engine.Execute(r.ctx, strings.ReplaceAll(strings.Join(r.c.Statements, "\n"), "{FORMAT}", r.format), r.session)
	switch {
	case r.c.Error != nil && err == nil && len(r.c.Inputs) == 0:
		return "expected an error, there was none: " + r.c.Error.Message
	case r.c.Error != nil:
		if err != nil && Class(err) == "unsupported" {
			return "not supported yet: " + err.Error()
		}
		if err != nil && Class(err) == "internal" {
			return "internal error: " + err.Error()
		}
		return r.namesMissing(err)
	case err != nil:
		return "unexpected error: " + err.Error()
	}
	for _, in := range r.c.Inputs {
		if err := r.produce(in); err != nil {
			return "input: " + err.Error()
		}
		// Cases feed queries record by record.
		if err := r.engine.Quiesce(r.ctx); err != nil {
			return err.Error()
		}
	}
	if err := r.engine.Quiesce(r.ctx); err != nil {
		return err.Error()
	}
	if fault := r.compare(); fault != "" {
		return fault
	}
	return r.checkSources()
}

// namesMissing holds an error's text to containing every name that stands both
// in the statement and in the expected message.
func (r *caseRun) namesMissing(err error) string {
	if err == nil || r.c.Error.Message == "" {
		return ""
	}
	if name := missingName(r.c.Statements[len(r.c.Statements)-1], r.c.Error.Message, err.Error()); name != "" {
		return "the error does not name " + name + ": " + err.Error()
	}
	return ""
}

// missingName returns a name that stands both in the statement and in the
// expected message, but not in ours; "" if there is none.
func missingName(statement, expected, got string) string {
	statement, got = strings.ToUpper(statement), strings.ToUpper(got)
	message, _, _ := strings.Cut(expected, "\nStatement:")
	for _, q := range regexp.MustCompile("`[^`]+`").FindAllString(message, -1) {
		name := strings.ToUpper(strings.Trim(q, "`"))
		if strings.Contains(statement, name) && !strings.Contains(got, name) {
			return name
		}
	}
	return ""
}

// makeTopics makes the topics that the case lists, that its CREATE statements
// name, and that its records go to.
func (r *caseRun) makeTopics() error {
	parts := map[string]int{}
	for _, rec := range append(append([]caseRecord{}, r.c.Inputs...), r.c.Outputs...) {
		parts[rec.Topic] = 1
	}
	stmts, err := sql.Parse(strings.ReplaceAll(strings.Join(r.c.Statements, "\n"), "{FORMAT}", r.format), sql.Options{})
	if err == nil {
		for _, s := range stmts {
			create, ok := s.(*sql.CreateSource)
			if !ok || create.As != nil {
				continue
			}
			topic, n := create.Name, 1
			for _, p := range create.With {
				if p.Name == "KAFKA_TOPIC" {
					topic = p.Value.Text
				}
				if p.Name == "PARTITIONS" {
					n, _ = strconv.Atoi(p.Value.Text)
				}
			}
			parts[topic] = max(n, 1)
		}
	}
	sinks := map[string]bool{}
	for _, s := range stmts {
		if create, ok := s.(*sql.CreateSource); ok && create.As != nil {
			sinks[create.Name] = true
		}
	}
	for _, t := range r.c.Topics {
		parts[t.Name] = max(t.Partitions, 1)
	}
	for name, n := range parts {
		if sinks[name] {
			continue
		}
		if _, err := r.log.CreateTopic(r.ctx, name, int32(n), nil); err != nil && !errors.Is(err, log.ErrTopicExists) {
			return err
		}
	}
	return nil
}

// A caseSource is what reading and writing a topic's records takes.
type caseSource struct {
	keyFormat, valueFormat string
	keys, values           []types.Column
}

// sourceOf returns a source on the topic; nil if there is none.
func (r *caseRun) sourceOf(topic string) *caseSource {
	cat := r.engine.Catalog()
	for _, name := range cat.SourceNames() {
		if s, _ := cat.Source(name); s.Topic == topic {
			return &caseSource{s.KeyFormat.Name, s.ValueFormat.Name, s.Schema.Keys(), s.Schema.Values()}
		}
	}
	return nil
}

func (r *caseRun) produce(in caseRecord) error {
	src := r.sourceOf(in.Topic)
	if src == nil {
		return nil // nobody reads it
	}
	key, err := encodeCell(in.Key, src.keyFormat, src.keys)
	if err != nil {
		return err
	}
	if in.Window != nil && key != nil {
		if in.Window.Type == "session" {
			key = binary.BigEndian.AppendUint64(key, uint64(in.Window.End))
		}
		key = binary.BigEndian.AppendUint64(key, uint64(in.Window.Start))
	}
	value, err := encodeCell(in.Value, src.valueFormat, src.values)
	if err != nil {
		return err
	}
	rec := exec.Record{Key: key, Value: value, Placed: !r.byKey}
	for _, h := range in.Headers {
		rec.Headers = append(rec.Headers, log.Header{Key: h.Key, Value: h.Value})
	}
	if in.Timestamp != nil {
		rec.Time = *in.Timestamp
	}
	return r.engine.Produce(r.ctx, in.Topic, []exec.Record{rec})
}

// encodeCell turns a case's JSON into bytes of a format.
func encodeCell(raw json.RawMessage, format string, cols []types.Column) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	switch format {
	case "JSON":
		return raw, nil
	case "DELIMITED":
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return bytes.Trim(raw, `"`), nil
		}
		return []byte(s), nil
	case "NONE":
		return nil, nil
	}
	return encodeKafka(raw, cols)
}

func encodeKafka(raw json.RawMessage, cols []types.Column) ([]byte, error) {
	text := string(raw)
	var s string
	if json.Unmarshal(raw, &s) == nil {
		text = s
	}
	if len(cols) == 0 {
		return []byte(text), nil
	}
	switch cols[0].Type.Kind() {
	case types.KindInt:
		n, err := strconv.ParseInt(text, 10, 32)
		return binary.BigEndian.AppendUint32(nil, uint32(n)), err
	case types.KindBigint:
		n, err := strconv.ParseInt(text, 10, 64)
		return binary.BigEndian.AppendUint64(nil, uint64(n)), err
	case types.KindDouble:
		f, err := strconv.ParseFloat(text, 64)
		return binary.BigEndian.AppendUint64(nil, math.Float64bits(f)), err
	}
	return []byte(text), nil
}

// compare holds each output topic's records to the expected ones.
func (r *caseRun) compare() string {
	want := map[string][]caseRecord{}
	for _, o := range r.c.Outputs {
		want[o.Topic] = append(want[o.Topic], o)
	}
	for topic, list := range want {
		src := r.sourceOf(topic)
		if src == nil {
			return "no source has the topic " + topic
		}
		got, err := r.readTopic(topic)
		if err != nil {
			return err.Error()
		}
		for i := range max(len(got), len(list)) {
			if i >= len(got) || i >= len(list) {
				return fmt.Sprintf("%s has %d records, expected %d", topic, len(got), len(list))
			}
			if fault := compareRecord(src, &list[i], got[i], len(r.c.Inputs) > 0); fault != "" {
				return fmt.Sprintf("%s record %d: %s", topic, i, fault)
			}
		}
	}
	return ""
}

type outRecord struct {
	key, value []byte
	time       int64
}

func (r *caseRun) readTopic(topic string) ([]outRecord, error) {
	t, err := r.log.Topic(r.ctx, topic)
	if err != nil {
		return nil, err
	}
	var out []outRecord
	var recs log.Records
	for p := range t.Partitions {
		at := log.Partition{Topic: topic, Index: p}
		b, err := r.log.Bounds(r.ctx, at)
		if err != nil {
			return nil, err
		}
		for offset := b.Start; offset < b.HighWatermark; {
			next, err := r.log.Fetch(r.ctx, at, offset, 1<<20, &recs)
			if err != nil {
				return nil, err
			}
			for i := range recs.Len() {
				out = append(out, outRecord{bytes.Clone(recs.Key(i)), bytes.Clone(recs.Value(i)), recs.Timestamps[i]})
			}
			offset = next
		}
	}
	return out, nil
}

func compareRecord(src *caseSource, want *caseRecord, got outRecord, inputs bool) string {
	key := got.key
	if want.Window != nil {
		n := 8
		if want.Window.Type == "session" {
			n = 16
		}
		if len(key) < n {
			return "the key has no window"
		}
		tail := key[len(key)-n:]
		if start := int64(binary.BigEndian.Uint64(tail[n-8:])); start != want.Window.Start {
			return fmt.Sprintf("window starts at %d, expected %d", start, want.Window.Start)
		}
		key = key[:len(key)-n]
	}
	if fault := compareCell(want.Key, key, src.keyFormat, src.keys); fault != "" {
		return "key: " + fault
	}
	if fault := compareCell(want.Value, got.value, src.valueFormat, src.values); fault != "" {
		return "value: " + fault
	}
	if want.Timestamp != nil && *want.Timestamp != got.time && (inputs || *want.Timestamp != 0) {
		return fmt.Sprintf("timestamp %d, expected %d", got.time, *want.Timestamp)
	}
	return ""
}

func compareCell(want json.RawMessage, got []byte, format string, cols []types.Column) string {
	decoded, err := decodeCell(got, format, cols)
	if err != nil {
		return err.Error()
	}
	var w any
	if len(want) > 0 {
		d := json.NewDecoder(bytes.NewReader(want))
		d.UseNumber()
		if err := d.Decode(&w); err != nil {
			return err.Error()
		}
	}
	if !sameValue(w, decoded) {
		return fmt.Sprintf("%s, expected %s", got, want)
	}
	return ""
}

func decodeCell(b []byte, format string, cols []types.Column) (any, error) {
	if b == nil {
		return nil, nil
	}
	switch {
	case format == "JSON":
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var v any
		err := d.Decode(&v)
		return v, err
	case format == "KAFKA" && len(cols) == 1:
		switch cols[0].Type.Kind() {
		case types.KindInt:
			return json.Number(strconv.Itoa(int(int32(binary.BigEndian.Uint32(b))))), nil
		case types.KindBigint:
			return json.Number(strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10)), nil
		case types.KindDouble:
			f := math.Float64frombits(binary.BigEndian.Uint64(b))
			text := strconv.FormatFloat(f, 'f', -1, 64)
			if !strings.Contains(text, ".") {
				text += ".0"
			}
			return json.Number(text), nil
		}
	}
	return string(b), nil
}

// sameValue compares as the cases do: numbers by value and scale, objects
// without regard to the case of their names.
func sameValue(want, got any) bool {
	switch w := want.(type) {
	case nil:
		return got == nil
	case bool:
		return got == w
	case json.Number:
		g, ok := got.(json.Number)
		return ok && sameNumber(w.String(), g.String())
	case string:
		switch g := got.(type) {
		case string:
			return g == w || base64.StdEncoding.EncodeToString([]byte(g)) == w
		case json.Number:
			return g.String() == w
		}
		return false
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !sameValue(w[i], g[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k, v := range w {
			x, ok := g[k]
			if !ok {
				x, ok = g[strings.ToUpper(k)]
			}
			if !ok || !sameValue(v, x) {
				return false
			}
		}
		return true
	}
	return false
}

func sameNumber(w, g string) bool {
	if w == g {
		return true
	}
	x, ok1 := new(big.Rat).SetString(w)
	y, ok2 := new(big.Rat).SetString(g)
	return ok1 && ok2 && x.Cmp(y) == 0 && strings.Contains(w, ".") == strings.ContainsAny(g, ".E")
}

// checkSources holds the catalog to the case's post-conditions.
func (r *caseRun) checkSources() string {
	for _, want := range r.c.Post.Sources {
		src, ok := r.engine.Catalog().Source(want.Name)
		if !ok {
			return "there is no source " + want.Name
		}
		if !strings.EqualFold(string(src.Kind), want.Type) {
			return want.Name + " is a " + src.Kind.Lower()
		}
		if want.Schema == "" {
			continue
		}
		stmts, err := sql.Parse("CREATE STREAM X ("+strings.ReplaceAll(want.Schema, "PRIMARY KEY", "KEY")+") WITH (KAFKA_TOPIC='x');", sql.Options{})
		if err != nil {
			return err.Error()
		}
		var schema types.Schema
		for _, c := range stmts[0].(*sql.CreateSource).Columns {
			t, err := sql.ResolveType(c.Type, r.engine.Catalog().Type)
			if err != nil {
				return err.Error()
			}
			col := types.Column{Name: c.Name, Type: t}
			if c.Key {
				col.Namespace = types.NamespaceKey
			} else if c.Headers {
				col.Namespace, col.HeaderKey = types.NamespaceHeaders, c.HeaderKey
			}
			schema.Columns = append(schema.Columns, col)
		}
		if !schema.Equal(src.Schema) {
			return fmt.Sprintf("%s has schema %s, expected %s", want.Name, src.Schema, schema)
		}
	}
	return ""
}
