package exec

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"karst/planner"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// nearestName returns the name closest to name, "" if none is near.
func nearestName(name string, names []string) string { return types.Nearest(name, names) }

// splitWindow takes the window off a key's bytes and shows it.
func splitWindow(key []byte, w *plan.Window) (rest []byte, window string, ok bool) {
	n := 8
	if w.Kind == plan.Session {
		n = 16
	}
	if len(key) < n {
		return key, "", false
	}
	rest, tail := key[:len(key)-n], key[len(key)-n:]
	start := int64(binary.BigEndian.Uint64(tail[n-8:]))
	end := start + w.SizeMS
	if w.Kind == plan.Session {
		end = int64(binary.BigEndian.Uint64(tail))
	}
	return rest, fmt.Sprintf("@%d/%d", start, end), true
}

// Inserter returns what inserts rows, given as JSON objects of their columns,
// into a stream or table, one at a time. Names of columns are taken in upper
// case unless they stand in back quotes.
func (e *Engine) Inserter(target string) (func(ctx context.Context, row []byte) error, error) {
	// Rows name their columns themselves; headers are not among them.
	src, err := planner.InsertTarget(&sql.InsertValues{Target: columnName(target), Columns: []string{types.RowTime}}, e.Catalog())
	if err != nil {
		return nil, err
	}
	var cols []types.Column
	for _, c := range src.Schema.Columns {
		if c.Namespace != types.NamespaceHeaders {
			cols = append(cols, c)
		}
	}
	d, err := format.NewDecoder(format.Options{Name: "JSON"}, cols, nil)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, row []byte) error {
		text, err := namedRow(row, cols, src.Name)
		if err != nil {
			return err
		}
		var failed string
		in := &format.Cells{Buf: text, Off: []int32{0}, Len: []int32{int32(len(text))}}
		vs := d.Decode(vector.NewArena(), in, 1, func(_ int, _, m string) { failed = m })
		if failed != "" {
			return types.Errorf(types.ErrStatement, types.Pos{}, "%s", failed)
		}
		return e.insertColumns(ctx, src, withHeaders(src.Schema, vs))
	}, nil
}

// withHeaders puts nil where the schema has headers.
func withHeaders(s types.Schema, cols []*vector.Vector) []*vector.Vector {
	var out []*vector.Vector
	for _, c := range s.Columns {
		if c.Namespace == types.NamespaceHeaders {
			out = append(out, nil)
			continue
		}
		out = append(out, cols[0])
		cols = cols[1:]
	}
	return out
}

func columnName(s string) string {
	if len(s) > 1 && s[0] == '`' && s[len(s)-1] == '`' {
		return s[1 : len(s)-1]
	}
	return strings.ToUpper(s)
}

// namedRow returns a row with its columns' names as the source has them.
func namedRow(row []byte, cols []types.Column, source string) ([]byte, error) {
	var in map[string]json.RawMessage
	if err := json.Unmarshal(row, &in); err != nil {
		return nil, types.Errorf(types.ErrStatement, types.Pos{}, "a row is a JSON object of its columns: %v", err)
	}
	out := map[string]json.RawMessage{}
	for name, v := range in {
		found := false
		for _, c := range cols {
			if c.Name == columnName(name) {
				out[c.Name], found = v, true
			}
		}
		if !found {
			return nil, types.Errorf(types.ErrStatement, types.Pos{}, "Column name %s does not exist in %s.", types.QuoteAlways(columnName(name)), source)
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// insertColumns appends one record of the schema's columns.
func (e *Engine) insertColumns(ctx context.Context, src *catalog.Source, cols []*vector.Vector) error {
	for i := range src.Schema.Keys() {
		if src.IsTable() && cols[i].IsNull(0) {
			return types.Errorf(types.ErrStatement, types.Pos{}, "Failed to insert values into '%s'. Value for primary key column(s) %s is required for tables", src.Name, types.QuoteAlways(src.Schema.Columns[i].Name))
		}
	}
	return e.insertRow(ctx, src, cols, e.opts.Now().UnixMilli())
}
