package script

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"sort"
	"strconv"
	"strings"
)

// compareAnswers holds the answers to the expected ones, one by one; there may
// be more.
func (r *restRun) compareAnswers() error {
	for i, want := range r.rest.Responses {
		if i >= len(r.got) {
			return fmt.Errorf("there are %d answers, expected %d", len(r.got), len(r.rest.Responses))
		}
		for kind, raw := range want {
			var w any
			if err := decodeExact(bytes.NewReader(raw), &w); err != nil {
				return err
			}
			got := r.got[i]
			if got.kind != kind {
				return fmt.Errorf("answer %d is one of %s, expected %s", i, got.kind, kind)
			}
			if err := r.compareAnswer(kind, w, got.value); err != nil {
				return fmt.Errorf("answer %d: %w\n  got      %s\n  expected %s", i, err, textOf(got.value), textOf(w))
			}
		}
	}
	return nil
}

func textOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (r *restRun) compareAnswer(kind string, want, got any) error {
	if kind == "admin" {
		return r.hasMembers(want, got)
	}
	wantRows, ok1 := want.([]any)
	gotRows, ok2 := got.([]any)
	if !ok1 || !ok2 {
		return fmt.Errorf("the answer is no list of rows")
	}
	if len(wantRows) != len(gotRows) {
		return fmt.Errorf("%d rows, expected %d", len(gotRows), len(wantRows))
	}
	if !r.rest.OutputConditions.VerifyOrder {
		wantRows, gotRows = sortColumns(wantRows), sortColumns(gotRows)
	}
	for i := range wantRows {
		if err := r.hasMembers(wantRows[i], gotRows[i]); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
	}
	return nil
}

// sortColumns returns the rows with their contents in a fixed order: the rows
// keep their places and members, the columns move.
func sortColumns(rows []any) []any {
	var at []int
	var keys []string
	content := map[string]any{}
	out := make([]any, len(rows))
	for i, row := range rows {
		out[i] = row
		m, _ := row.(map[string]any)
		inner := m["row"]
		if s, ok := inner.(string); ok { // protobuf text
			s = canonicalText(s)
			at, keys, content[s] = append(at, i), append(keys, s), s
			continue
		}
		fields, _ := inner.(map[string]any)
		if cols, ok := fields["columns"]; ok {
			k := sortKey(cols)
			at, keys, content[k] = append(at, i), append(keys, k), cols
		}
	}
	sort.Strings(keys)
	for n, i := range at {
		row := cloneMap(rows[i].(map[string]any))
		if _, ok := row["row"].(string); ok {
			row["row"] = content[keys[n]]
		} else {
			inner := cloneMap(row["row"].(map[string]any))
			inner["columns"] = content[keys[n]]
			row["row"] = inner
		}
		out[i] = row
	}
	return out
}

func cloneMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// hasMembers holds that got has every member of want, with its value. A name
// that ends in |starts_with stands for the beginning of a text.
func (r *restRun) hasMembers(want, got any) error {
	w, ok := want.(map[string]any)
	if !ok {
		if !sameExact(want, got) {
			return fmt.Errorf("%s, expected %s", textOf(got), textOf(want))
		}
		return nil
	}
	g, ok := got.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is no object, expected %s", textOf(got), textOf(want))
	}
	for name, v := range w {
		member, prefix := strings.CutSuffix(name, "|starts_with")
		x, ok := g[member]
		switch {
		case !ok:
			return fmt.Errorf("there is no member %s in %s", member, textOf(got))
		case prefix:
			text, _ := x.(string)
			if begin, _ := v.(string); !strings.HasPrefix(text, begin) {
				return fmt.Errorf("%s is %q, expected to begin with %q", member, text, begin)
			}
		case name == "columns":
			if !sameExact(v, x) {
				return fmt.Errorf("columns %s, expected %s", textOf(x), textOf(v))
			}
		default:
			if err := r.hasMembers(v, x); err != nil {
				return fmt.Errorf("%s: %w", member, err)
			}
		}
	}
	return nil
}

// sameExact compares JSON values; numbers are equal only in value and scale:
// 1, 1.0 and 1.00 differ.
func sameExact(want, got any) bool { return sortKey(want) == sortKey(got) }

// sortKey is the JSON of a value with each number as integer and exponent.
func sortKey(v any) string { return textOf(canonical(v)) }

func canonical(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, scale, ok := unscaled(v.String()); ok {
			return json.Number(fmt.Sprintf("%de%d", n, -scale))
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = canonical(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = canonical(v[k])
		}
		return out
	}
	return v
}

// unscaled returns n and scale of a number n × 10^-scale, as it is written.
func unscaled(text string) (*big.Int, int, bool) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	e := 0
	if exponent != "" {
		var err error
		if e, err = strconv.Atoi(exponent); err != nil {
			return nil, 0, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	return n, len(fraction) - e, ok
}
