package script

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"karst/log"
	"karst/planner/catalog"
	"karst/planner/plan"
)

// compare holds each topic that has expected records to them, and the topics
// of all queries to being empty where nothing is expected at all.
func (r *caseRun) compare(e *caseEngine) *caseFault {
	want := map[string][]caseRecord{}
	for _, o := range r.c.Outputs {
		want[o.Topic] = append(want[o.Topic], o)
	}
	cat := e.engine.Catalog()
	if len(want) == 0 && len(r.c.Inputs) > 0 {
		for _, id := range e.queries {
			if q, ok := cat.Query(id); ok && q.Sink != "" {
				s, _ := cat.Source(q.Sink)
				want[s.Topic] = nil
			}
		}
	}
	for topic, list := range want {
		src := sourceOf(cat, topic)
		if src == nil {
			return faultf("no source has the topic %s", topic)
		}
		if f := r.compareTopic(src, list, r.stored[topic]); f != nil {
			return f
		}
	}
	return nil
}

func (r *caseRun) compareTopic(src *catalog.Source, want []caseRecord, got []record) *caseFault {
	if r.batch > 1 { // what came out of one batch lies in several partitions, each key's records in order
		want, got = slices.Clone(want), slices.Clone(got)
		slices.SortStableFunc(want, func(a, b caseRecord) int { return strings.Compare(decodedText(a.Key), decodedText(b.Key)) })
		slices.SortStableFunc(got, func(a, b record) int { return strings.Compare(r.keyText(src, &a), r.keyText(src, &b)) })
	}
	text := ""
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			text = fmt.Sprintf("%s has %d records, expected %d", src.Topic, len(got), len(want))
			break
		}
		if fault := r.compareRecord(src, &want[i], &got[i]); fault != "" {
			text = fmt.Sprintf("%s record %d: %s", src.Topic, i, fault)
			break
		}
	}
	if text == "" {
		return nil
	}
	f := &caseFault{text: text}
	for i := range want {
		f.want = append(f.want, showWanted(&want[i]))
	}
	for i := range got {
		f.got = append(f.got, r.showActual(src, &got[i]))
	}
	return f
}

// showWanted and showActual write a record as "key → value @time".
func showWanted(w *caseRecord) string {
	key, value := decodedText(w.Key), decodedText(w.Value)
	if w.Window != nil {
		key += fmt.Sprintf(" [%d,%d)", w.Window.Start, w.Window.End)
	}
	s := key + " → " + value
	if w.Timestamp != nil {
		s += fmt.Sprintf(" @%d", *w.Timestamp)
	}
	return s
}

func decodedText(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "null"
	}
	v, err := decodeJSON(raw)
	if err != nil {
		return string(raw)
	}
	return valueText(v)
}

func valueText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func (r *caseRun) showActual(src *catalog.Source, g *record) string {
	bare, w, _ := splitWindow(src, g.key)
	parts := make([]string, 2)
	for i, b := range [][]byte{bare, g.value} {
		v, err := cellsOf(src, i == 0, r.registry).decode(b)
		if parts[i] = valueText(v); err != nil {
			parts[i] = fmt.Sprintf("%q (%v)", b, err)
		}
	}
	if w != nil {
		parts[0] += fmt.Sprintf(" [%d,%d)", w.Start, w.End)
	}
	return fmt.Sprintf("%s → %s @%d", parts[0], parts[1], g.time)
}

// keyText is a record's key, without its window, as JSON.
func (r *caseRun) keyText(src *catalog.Source, g *record) string {
	bare, _, err := splitWindow(src, g.key)
	if err != nil {
		return ""
	}
	v, _ := cellsOf(src, true, r.registry).decode(bare) // the comparison says what is wrong
	return valueText(v)
}

// splitWindow takes the window off the end of a source's keys; the window is
// nil if they have none.
func splitWindow(src *catalog.Source, key []byte) ([]byte, *caseWindow, error) {
	if src.Window == nil {
		return key, nil, nil
	}
	w, n := &caseWindow{Type: "time"}, 8
	if src.Window.Kind == plan.Session {
		w.Type, n = "session", 16
	}
	if len(key) < n {
		return key, nil, fmt.Errorf("the key %q has no window", key)
	}
	tail := key[len(key)-n:]
	w.Start = int64(binary.BigEndian.Uint64(tail[n-8:]))
	w.End = w.Start + src.Window.SizeMS
	if n == 16 {
		w.End = int64(binary.BigEndian.Uint64(tail))
	}
	return key[:len(key)-n], w, nil
}

func (r *caseRun) compareRecord(src *catalog.Source, want *caseRecord, got *record) string {
	key, window, err := splitWindow(src, got.key)
	if err != nil {
		return err.Error()
	}
	if fault := compareWindow(want.Window, window); fault != "" {
		return fault
	}
	if fault := r.compareCell(want.Key, key, cellsOf(src, true, r.registry)); fault != "" {
		return "key: " + fault
	}
	if fault := r.compareCell(want.Value, got.value, cellsOf(src, false, r.registry)); fault != "" {
		return "value: " + fault
	}
	if want.Timestamp != nil && *want.Timestamp != got.time && (len(r.c.Inputs) > 0 || *want.Timestamp != 0) {
		return fmt.Sprintf("timestamp %d, expected %d", got.time, *want.Timestamp)
	}
	return compareHeaders(want, got.headers)
}

func compareWindow(want, got *caseWindow) string {
	switch {
	case want == nil && got == nil:
		return ""
	case want == nil:
		return fmt.Sprintf("the key has the window [%d,%d), expected none", got.Start, got.End)
	case got == nil:
		return fmt.Sprintf("the key has no window, expected [%d,%d)", want.Start, want.End)
	case !strings.EqualFold(want.Type, got.Type):
		return fmt.Sprintf("the window is of type %s, expected %s", got.Type, want.Type)
	case want.Start != got.Start || want.End != got.End:
		return fmt.Sprintf("the window is [%d,%d), expected [%d,%d)", got.Start, got.End, want.Start, want.End)
	}
	return ""
}

func compareHeaders(want *caseRecord, got []log.Header) string {
	list, err := want.logHeaders()
	if err != nil {
		return "headers: " + err.Error()
	}
	same := slices.EqualFunc(list, got, func(a, b log.Header) bool {
		return a.Key == b.Key && (a.Value == nil) == (b.Value == nil) && bytes.Equal(a.Value, b.Value)
	})
	if same {
		return ""
	}
	return fmt.Sprintf("headers %q, expected %q", got, list)
}

func (r *caseRun) compareCell(want json.RawMessage, got []byte, c *cells) string {
	decoded, err := c.decode(got)
	if err != nil {
		return err.Error()
	}
	var w any
	if len(want) > 0 {
		if w, err = decodeJSON(want); err != nil {
			return err.Error()
		}
	}
	same := comparison{inexact: r.inexact()}
	if !same.values(w, decoded) {
		return valueText(decoded) + ", expected " + valueText(w)
	}
	return ""
}

// inexact reports whether the case compares numbers as doubles.
func (r *caseRun) inexact() bool {
	v, ok := r.c.Properties["use.exact.numeric.comparison"]
	return ok && strings.EqualFold(fmt.Sprint(v), "false")
}

// A comparison compares as the cases do: numbers by value and scale (unless
// inexact), objects without regard to the case of their names.
type comparison struct{ inexact bool }

func (c comparison) values(want, got any) bool {
	switch w := want.(type) {
	case nil:
		return got == nil
	case bool:
		return got == w
	case json.Number:
		switch g := got.(type) {
		case json.Number:
			return c.numbers(w.String(), g.String())
		case float64: // of a format with schemas
			f, err := w.Float64()
			return err == nil && math.Abs(f-g) < 1e-6
		}
		return false
	case string:
		switch g := got.(type) {
		case string:
			return g == w || base64.StdEncoding.EncodeToString([]byte(g)) == w
		case json.Number:
			return g.String() == w || (comparison{}).decimals(w, g.String())
		}
		return false
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(w, g, c.values)
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k, v := range w {
			x, ok := g[k]
			if !ok {
				x = g[strings.ToUpper(k)] // which may be absent: null
			}
			if !c.values(v, x) {
				return false
			}
		}
		return true
	}
	return false
}

// decimals compares decimals by value and scale.
func (c comparison) decimals(w, g string) bool {
	x, ok1 := new(big.Rat).SetString(w)
	y, ok2 := new(big.Rat).SetString(g)
	_, after, _ := strings.Cut(w, ".")
	_, since, _ := strings.Cut(g, ".")
	return ok1 && ok2 && x.Cmp(y) == 0 && len(after) == len(since)
}

// numbers compares a number with a whole one as whole numbers; a whole one with
// decimals expects a scale of 0 at most; else the scale counts too.
func (c comparison) numbers(w, g string) bool {
	x, ok1 := new(big.Rat).SetString(w)
	y, ok2 := new(big.Rat).SetString(g)
	switch {
	case !ok1 || !ok2:
		return false
	case !strings.ContainsAny(g, ".eE"):
		x.SetInt(new(big.Int).Quo(x.Num(), x.Denom()))
		return x.Cmp(y) == 0
	case c.inexact:
		diff := new(big.Rat).Sub(x, y)
		return diff.Abs(diff).Cmp(big.NewRat(1, 1_000_000)) < 0
	case !strings.ContainsAny(w, ".eE"):
		return scaleOf(g) <= 0 && x.Cmp(y) == 0
	}
	return scaleOf(w) == scaleOf(g) && x.Cmp(y) == 0
}

// scaleOf returns how many decimals a number is written with; an exponent
// takes from them.
func scaleOf(number string) int {
	mantissa, exp := number, 0
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa = number[:i]
		exp, _ = strconv.Atoi(number[i+1:])
	}
	_, fraction, _ := strings.Cut(mantissa, ".")
	return len(fraction) - exp
}
