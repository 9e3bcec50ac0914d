package expr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"karst/sql"
	"karst/sql/format"
	"karst/sql/function"
	"karst/sql/types"
	"karst/sql/vector"
)

// A corpusCase is one of ksqlDB's own cases.
type corpusCase struct {
	Name       string
	Format     []string
	Statements []string
	Properties map[string]any
	Inputs     []corpusRecord
	Outputs    []corpusRecord
	Enabled    *bool
	Error      *struct{ Type, Message string } `json:"expectedException"`
}

type corpusRecord struct {
	Topic     string
	Key       json.RawMessage
	Value     json.RawMessage
	Timestamp int64
	Window    any
}

var corpusComments = regexp.MustCompile(`(?m)^\s*//.*$|(?s:/\*.*?\*/)`)

// corpusFloor is how many cases must agree at least; raise it, never lower it.
const corpusFloor = 436

// TestCorpus evaluates the projections, filters and unwindowed aggregates of
// ksqlDB's cases over one JSON stream and compares values. Cases that need
// more than expressions are left to the case runner.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("KARST_CASES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "ksqldb")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "qtt", "*.json"))
	if len(files) == 0 {
		t.Skip("SKIPPED: no cases")
	}
	passed, failed, skipped := 0, 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f struct{ Tests []corpusCase }
		if err := json.Unmarshal(corpusComments.ReplaceAll(text, nil), &f); err != nil {
			t.Logf("%s: %v", file, err)
			continue
		}
		for _, c := range f.Tests {
			verdict := runCorpusCase(c)
			switch {
			case verdict == "":
				passed++
			case strings.HasPrefix(verdict, "skip"):
				skipped++
				if testing.Verbose() {
					t.Logf("SKIP %s - %s: %s", filepath.Base(file), c.Name, verdict)
				}
			default:
				failed++
				t.Logf("FAIL %s - %s: %s", filepath.Base(file), c.Name, verdict)
			}
		}
	}
	t.Logf("%d passed, %d failed, %d skipped", passed, failed, skipped)
	if passed < corpusFloor {
		t.Errorf("only %d cases pass, want %d", passed, corpusFloor)
	}
}

// runCorpusCase returns "", a fault, or "skip: why".
func runCorpusCase(c corpusCase) (verdict string) {
	defer func() {
		if r := recover(); r != nil {
			verdict = fmt.Sprint("panic: ", r)
		}
	}()
	if c.Enabled != nil && !*c.Enabled {
		return "skip: disabled"
	}
	text := strings.Join(c.Statements, "\n")
	if len(c.Format) > 0 {
		if !strings.Contains(strings.Join(c.Format, " "), "JSON") {
			return "skip: format"
		}
		text = strings.ReplaceAll(text, "{FORMAT}", "JSON")
	}
	stmts, err := sql.Parse(text, sql.Options{})
	if err != nil {
		return "skip: does not parse"
	}
	s, why := newCorpusSource(stmts)
	if why != "" {
		return "skip: " + why
	}
	got, err := s.run(c)
	if why, ok := err.(skipError); ok {
		return "skip: " + string(why)
	}
	if c.Error != nil {
		if err == nil {
			return "want error " + c.Error.Message
		}
		return ""
	}
	if err != nil {
		return err.Error()
	}
	var want []corpusRecord
	for _, o := range c.Outputs {
		if o.Topic == s.sink {
			want = append(want, o)
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d rows, want %d: %s", len(got), len(want), got)
	}
	for i, w := range want {
		if why := s.same(w.Value, []byte(got[i])); why != "" {
			return fmt.Sprintf("row %d: %s\n got %s\nwant %s", i, why, got[i], w.Value)
		}
	}
	return ""
}

type skipError string

func (e skipError) Error() string { return string(e) }

// A corpusSource is a case of one source and one query over it.
type corpusSource struct {
	create  *sql.CreateSource
	query   *sql.Query
	table   bool
	sink    string
	topic   string
	cols    []types.Column
	keyText bool // the key's format is KAFKA
	lookup  func(string) (*types.Type, bool)
}

func newCorpusSource(stmts []sql.Statement) (*corpusSource, string) {
	custom := map[string]*types.Type{}
	s := &corpusSource{lookup: func(n string) (*types.Type, bool) { t, ok := custom[n]; return t, ok }}
	for _, stmt := range stmts {
		switch stmt := stmt.(type) {
		case *sql.CreateType:
			t, err := sql.ResolveType(stmt.Type, s.lookup)
			if err != nil {
				return nil, "type"
			}
			custom[stmt.Name] = t
		case *sql.CreateSource:
			switch {
			case stmt.As == nil && s.create == nil && stmt.HasColumns:
				s.create = stmt
			case stmt.As != nil && s.query == nil && s.create != nil:
				s.query, _ = stmt.As.(*sql.Query)
				s.sink, s.table = stmt.Name, stmt.Table
				for _, p := range stmt.With {
					switch p.Name {
					case "KAFKA_TOPIC":
						s.sink = p.Value.Text
					case "VALUE_FORMAT", "FORMAT", "WRAP_SINGLE_VALUE", "TIMESTAMP":
						return nil, "sink's format"
					}
				}
			default:
				return nil, "several sources"
			}
		default:
			return nil, "statements"
		}
	}
	if s.create == nil || s.query == nil {
		return nil, "no query"
	}
	return s, s.resolve()
}

func (s *corpusSource) resolve() string {
	q := s.query
	if ref, ok := q.From.(*sql.SourceRef); !ok || ref.Name != s.create.Name {
		return "joins"
	}
	if q.Window != nil || len(q.PartitionBy) > 0 || q.Emit == sql.EmitFinal || q.Distinct || s.create.Table && len(q.GroupBy) > 0 {
		return "windows"
	}
	value := ""
	s.keyText = true
	for _, p := range s.create.With {
		switch p.Name {
		case "KAFKA_TOPIC":
			s.topic = p.Value.Text
		case "VALUE_FORMAT":
			value = strings.ToUpper(p.Value.Text)
		case "FORMAT":
			value = strings.ToUpper(p.Value.Text)
			s.keyText = false
		case "KEY_FORMAT":
			s.keyText = strings.EqualFold(p.Value.Text, "KAFKA") || strings.EqualFold(p.Value.Text, "NONE")
		case "WINDOW_TYPE", "WRAP_SINGLE_VALUE", "TIMESTAMP":
			return "with " + p.Name
		}
	}
	if value != "JSON" {
		return "format " + value
	}
	for _, d := range s.create.Columns {
		if d.Headers {
			return "headers"
		}
		t, err := sql.ResolveType(d.Type, s.lookup)
		if err != nil {
			return "type"
		}
		c := types.Column{Name: d.Name, Type: t}
		if d.Key || d.PrimaryKey {
			c.Namespace = types.NamespaceKey
		}
		s.cols = append(s.cols, c)
	}
	return ""
}

// decode makes a batch of the inputs.
func (s *corpusSource) decode(a *vector.Arena, in []corpusRecord) (*vector.Batch, error) {
	var keys, values []types.Column
	for _, c := range s.cols {
		if c.Namespace == types.NamespaceKey {
			keys = append(keys, c)
		} else {
			values = append(values, c)
		}
	}
	var k, v format.Cells
	b := &vector.Batch{}
	for _, r := range in {
		if r.Topic != s.topic || string(r.Value) == "null" || len(r.Value) == 0 {
			if r.Topic == s.topic {
				return nil, skipError("tombstones")
			}
			continue
		}
		if r.Window != nil {
			return nil, skipError("windows")
		}
		add(&v, r.Value)
		if r.Key == nil {
			k.Null()
		} else {
			add(&k, r.Key)
		}
		b.N++
		b.Time = append(b.Time, r.Timestamp)
		b.Partition = append(b.Partition, 0)
		b.Offset = append(b.Offset, int64(b.N-1))
	}
	var faults error
	fail := func(_ int, reason, message string) {
		if reason != format.ReasonUnknownField {
			faults = skipError("input: " + message)
		}
	}
	wrap := true
	dec, err := format.NewDecoder(format.Options{Name: "JSON", WrapSingle: &wrap}, values, nil)
	if err != nil {
		return nil, err
	}
	vs := dec.Decode(a, &v, b.N, fail)
	kdec, err := format.NewDecoder(format.Options{Name: "JSON", Key: true}, keys, nil)
	if err != nil {
		return nil, err
	}
	var ks []*vector.Vector
	if len(keys) > 0 {
		ks = kdec.Decode(a, &k, b.N, fail)
	}
	for _, c := range s.cols {
		if c.Namespace == types.NamespaceKey {
			b.Cols, ks = append(b.Cols, ks[0]), ks[1:]
		} else {
			b.Cols, vs = append(b.Cols, vs[0]), vs[1:]
		}
	}
	return b, faults
}

func add(c *format.Cells, text []byte) {
	c.Off, c.Len = append(c.Off, int32(len(c.Buf))), append(c.Len, int32(len(text)))
	c.Buf = append(c.Buf, text...)
}

// items are the query's columns, stars expanded; those of the key are left
// out, since only values are compared.
func (s *corpusSource) items() ([]sql.SelectItem, error) {
	var out []sql.SelectItem
	names := map[string]bool{}
	generated := 0
	for _, it := range s.query.Items {
		if it.Expr == nil {
			for _, c := range s.cols {
				if c.Namespace != types.NamespaceKey {
					out = append(out, sql.SelectItem{Expr: &sql.ColumnRef{Name: c.Name}, Alias: c.Name})
				}
			}
			continue
		}
		if _, ok := it.Expr.(*sql.StructAll); ok {
			return nil, skipError("struct star")
		}
		key := false
		if r, ok := it.Expr.(*sql.ColumnRef); ok {
			for _, c := range s.cols {
				key = key || c.Name == r.Name && c.Namespace == types.NamespaceKey
			}
			if it.Alias == "" {
				it.Alias = r.Name
			}
		}
		for _, g := range s.query.GroupBy {
			key = key || sql.PrintExpr(g) == sql.PrintExpr(it.Expr)
		}
		if f, ok := it.Expr.(*sql.FieldRef); ok && it.Alias == "" {
			it.Alias = f.Field
		}
		if it.Alias == "" {
			it.Alias = fmt.Sprintf("KSQL_COL_%d", generated)
			generated++
		}
		if names[it.Alias] {
			return nil, skipError("duplicate names")
		}
		names[it.Alias] = true
		if !key {
			out = append(out, it)
		}
	}
	return out, nil
}

func (s *corpusSource) run(c corpusCase) ([]string, error) {
	a := vector.NewPoisonedArena()
	b, err := s.decode(a, c.Inputs)
	if err != nil {
		return nil, err
	}
	alias := s.query.From.(*sql.SourceRef).Alias
	scope := Scope{Settings: map[string]string{}}
	for _, col := range s.cols {
		scope.Columns = append(scope.Columns, Column{Source: alias, Name: col.Name, Type: col.Type})
	}
	for k, v := range c.Properties {
		scope.Settings[k] = fmt.Sprint(v)
	}
	ctx := &Context{Arena: a, Now: func() time.Time { return time.UnixMilli(0) }, Rand: func() uint64 { return 4 }, Report: func(int32, string) {}}
	if s.query.Where != nil {
		p, err := Compile(s.query.Where, scope)
		if err != nil {
			return nil, err
		}
		if p.Type().Kind() != types.KindBoolean {
			return nil, fmt.Errorf("WHERE of type %s", p.Type())
		}
		b.Sel = p.Filter(ctx, b)
	}
	if s.query.Having != nil {
		return nil, skipError("having")
	}
	items, err := s.items()
	if err != nil {
		return nil, err
	}
	if len(s.query.GroupBy) > 0 {
		agg := &corpusGroups{source: s, ctx: ctx, batch: b, scope: scope}
		if err := agg.run(items); err != nil {
			return nil, err
		}
		b, scope = agg.batch, agg.scope
		items = agg.items
	}
	var cols []types.Column
	var vecs []*vector.Vector
	for _, it := range items {
		if call, ok := it.Expr.(*sql.Call); ok {
			if d := function.Default().Find(call.Name); d != nil && d.Kind == function.Table {
				return nil, skipError("table function")
			}
		}
		p, err := Compile(it.Expr, scope)
		if err != nil {
			return nil, err
		}
		if p.Type().Kind() == types.KindNull {
			return nil, fmt.Errorf("a column of type NULL")
		}
		cols = append(cols, types.Column{Name: it.Alias, Type: p.Type()})
		vecs = append(vecs, p.Eval(ctx, b))
	}
	wrap := true
	enc, err := format.NewEncoder(format.Options{Name: "JSON", WrapSingle: &wrap}, cols)
	if err != nil {
		return nil, err
	}
	var out format.Cells
	if err := enc.Encode(vecs, b.Selected(a), &out); err != nil {
		return nil, err
	}
	var rows []string
	for i := range out.Off {
		rows = append(rows, string(out.At(i)))
	}
	return rows, nil
}

// same compares as the runner's rules say, driven by the expected value.
func (s *corpusSource) same(want, got []byte) string {
	w, err1 := exact(want)
	g, err2 := exact(got)
	if err1 != nil || err2 != nil {
		return fmt.Sprint(err1, err2)
	}
	return sameJSON("", w, g)
}

func exact(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	return v, d.Decode(&v)
}

func sameJSON(path string, w, g any) string {
	bad := fmt.Sprintf("%s is %v, want %v", path, g, w)
	switch w := w.(type) {
	case map[string]any:
		m, ok := g.(map[string]any)
		if !ok || len(m) != len(w) {
			return bad
		}
		for k, x := range w {
			y, ok := m[k]
			if !ok {
				y, ok = m[strings.ToUpper(k)]
			}
			if !ok && x != nil {
				return bad + ": no " + k
			}
			if why := sameJSON(path+"."+k, x, y); why != "" {
				return why
			}
		}
		return ""
	case []any:
		l, ok := g.([]any)
		if !ok || len(l) != len(w) {
			return bad
		}
		for i := range w {
			if why := sameJSON(fmt.Sprint(path, "[", i, "]"), w[i], l[i]); why != "" {
				return why
			}
		}
		return ""
	case json.Number:
		n, ok := g.(json.Number)
		if !ok || !sameNumber(string(w), string(n)) {
			return bad
		}
		return ""
	}
	if w != g {
		return bad
	}
	return ""
}

func sameNumber(w, g string) bool {
	x, ok1 := new(big.Rat).SetString(w)
	y, ok2 := new(big.Rat).SetString(g)
	if !ok1 || !ok2 || x.Cmp(y) != 0 {
		return false
	}
	return strings.ContainsAny(w, "eE") || strings.ContainsAny(g, "eE") || strings.Contains(w, ".") == strings.Contains(g, ".")
}

// corpusGroups folds the rows and gives a row for each change.
type corpusGroups struct {
	source *corpusSource
	ctx    *Context
	batch  *vector.Batch
	scope  Scope
	items  []sql.SelectItem
}

// run replaces the batch by one of a row for each change: the input's columns
// and the aggregates' values.
func (g *corpusGroups) run(items []sql.SelectItem) error {
	rows, groups, err := g.assign()
	if err != nil {
		return err
	}
	out := &vector.Batch{N: len(rows), Time: make([]int64, len(rows))}
	for _, col := range g.batch.Cols {
		out.Cols = append(out.Cols, gather(g.ctx.Arena, col, rows))
	}
	scope := g.scope
	for _, it := range items {
		var failed error
		it.Expr = sql.Transform(it.Expr, func(e sql.Expr) sql.Expr {
			call, ok := e.(*sql.Call)
			if !ok {
				return e
			}
			if d := function.Default().Find(call.Name); d == nil || d.Kind != function.Aggregate {
				return e
			}
			v, err := g.fold(call, rows, groups)
			if err != nil {
				failed = err
				return e
			}
			name := fmt.Sprintf("AGG %d", len(out.Cols))
			out.Cols = append(out.Cols, v)
			scope.Columns = append(scope.Columns, Column{Name: name, Type: v.Type})
			return &sql.ColumnRef{Name: name}
		})
		if failed != nil {
			return failed
		}
		g.items = append(g.items, it)
	}
	g.batch, g.scope = out, scope
	return nil
}

// assign gives the rows that have a group, and their groups.
func (g *corpusGroups) assign() (rows, groups []int32, err error) {
	var keys []*vector.Vector
	for _, e := range g.source.query.GroupBy {
		p, err := Compile(e, g.scope)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, p.Eval(g.ctx, g.batch))
	}
	ids := map[string]int32{}
	for _, i := range g.batch.Selected(g.ctx.Arena) {
		key, null := "", false
		for _, k := range keys {
			null = null || k.IsNull(int(i))
			key += string(format.AppendJSON(nil, k, int(i))) + " "
		}
		if null {
			continue
		}
		if _, ok := ids[key]; !ok {
			ids[key] = int32(len(ids))
		}
		rows, groups = append(rows, i), append(groups, ids[key])
	}
	return rows, groups, nil
}

func (g *corpusGroups) fold(call *sql.Call, rows, groups []int32) (*vector.Vector, error) {
	var args []function.Arg
	for _, a := range call.Args {
		p, err := Compile(a, g.scope)
		if err != nil {
			return nil, err
		}
		args = append(args, function.Arg{Type: p.Type(), Const: p.Const()})
	}
	r, rerr := function.Default().Resolve(call.Name, function.Aggregate, args, nil)
	if rerr != nil {
		return nil, rerr
	}
	k, err := r.Signature.Aggregate(args)
	if err != nil {
		return nil, err
	}
	fixed, _ := k.Layout()
	ac := &function.AggregateCall{Arena: g.ctx.Arena, Fail: func(int32, string) {},
		Cells: vector.Cells{Segments: [][]byte{make([]byte, fixed*(len(rows)+1))}, Shift: 20, Stride: fixed, Blobs: vector.NewBlobs()}}
	for i, a := range call.Args {
		p, err := CompileAs(a, g.scope, r.Params[i])
		if err != nil {
			return nil, err
		}
		ac.Args = append(ac.Args, p.Eval(g.ctx, g.batch))
	}
	return k.Update(ac, rows, groups, true), nil
}
