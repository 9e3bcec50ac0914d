package script

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"karst/log"
	"karst/log/registry"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql/types"
)

// encode turns an input into bytes by the formats of a source on its topic.
func (r *caseRecord) encode(src *catalog.Source, reg *registry.Registry) (record, error) {
	var out record
	var err error
	if out.key, err = cellsOf(src, true, reg).encode(r.Key); err != nil {
		return out, err
	}
	if r.Window != nil && out.key != nil {
		if r.Window.Type == "session" {
			out.key = binary.BigEndian.AppendUint64(out.key, uint64(r.Window.End))
		}
		out.key = binary.BigEndian.AppendUint64(out.key, uint64(r.Window.Start))
	}
	if out.value, err = cellsOf(src, false, reg).encode(r.Value); err != nil {
		return out, err
	}
	if r.Timestamp != nil {
		out.time = *r.Timestamp
	}
	out.headers, err = r.logHeaders()
	return out, err
}

// logHeaders returns the headers with their values decoded.
func (r *caseRecord) logHeaders() ([]log.Header, error) {
	var out []log.Header
	for _, h := range r.Headers {
		x := log.Header{}
		if h.Key != nil {
			x.Key = *h.Key
		}
		if h.Value != nil {
			b, err := base64.StdEncoding.DecodeString(*h.Value)
			if err != nil {
				return nil, err
			}
			x.Value = append([]byte{}, b...)
		}
		out = append(out, x)
	}
	return out, nil
}

// cells are a topic's keys or values, as a source on it reads them.
type cells struct {
	plan.Format
	cols     []types.Column
	key      bool
	topic    string
	registry *registry.Registry
}

func cellsOf(src *catalog.Source, key bool, reg *registry.Registry) *cells {
	if key {
		return &cells{src.KeyFormat, src.Schema.Keys(), true, src.Topic, reg}
	}
	return &cells{src.ValueFormat, src.Schema.Values(), false, src.Topic, reg}
}

// encode turns a case's JSON into bytes.
func (c *cells) encode(raw json.RawMessage) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	switch c.Name {
	case "AVRO", "PROTOBUF", "JSON_SR", "PROTOBUF_NOSR":
		return c.encodeSchema(raw)
	case "JSON":
		return compactJSON(raw)
	case "DELIMITED":
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return bytes.Trim(raw, `"`), nil
		}
		return []byte(s), nil
	case "NONE":
		return nil, nil
	}
	return encodeKafka(raw, c.cols)
}

// compactJSON drops the white space between tokens.
func compactJSON(raw json.RawMessage) ([]byte, error) {
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	return b.Bytes(), err
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

// decode turns bytes into a value of the cases' JSON: nil, bool, string,
// json.Number, []any or map[string]any.
func (c *cells) decode(b []byte) (any, error) {
	if b == nil {
		return nil, nil
	}
	switch {
	case c.Name == "JSON":
		return decodeJSON(b)
	case registryFormat(c.Name):
		return c.decodeSchema(b)
	case c.Name == "KAFKA" && len(c.cols) == 1:
		switch c.cols[0].Type.Kind() {
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

func decodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}
