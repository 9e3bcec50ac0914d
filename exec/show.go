package exec

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"karst/planner"
	"karst/planner/catalog"
	"karst/sql"
	"karst/sql/function"
	"karst/sql/types"
)

// show answers SHOW and LIST.
func (e *Engine) show(ctx context.Context, x *sql.Show, s *Session) (*Result, error) {
	cat := e.Catalog()
	r := &Result{Kind: strings.ToLower(strings.ReplaceAll(x.What, " ", "_"))}
	switch x.What {
	case "STREAMS", "TABLES":
		kind := catalog.Stream
		r.Columns = []string{"name", "topic", "keyFormat", "valueFormat", "isWindowed"}
		if x.What == "TABLES" {
			kind = catalog.Table
		}
		for _, name := range cat.SourceNames() {
			if src, _ := cat.Source(name); src.Kind == kind {
				r.Rows = append(r.Rows, []string{name, src.Topic, src.KeyFormat.Name, src.ValueFormat.Name, strconv.FormatBool(src.Window != nil)})
			}
		}
	case "TOPICS":
		r.Columns = []string{"name", "partitions", "records"}
		topics, err := e.opts.Log.Topics(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range topics {
			if strings.HasPrefix(t.Name, "_karst") && !x.All {
				continue
			}
			n := int64(0)
			ends, err := e.ends(ctx, map[string]bool{t.Name: true})
			if err != nil {
				return nil, err
			}
			for _, end := range ends {
				n += end
			}
			r.Rows = append(r.Rows, []string{t.Name, strconv.Itoa(int(t.Partitions)), strconv.FormatInt(n, 10)})
		}
	case "QUERIES":
		e.showQueries(x, r)
	case "TYPES":
		r.Columns = []string{"name", "schema"}
		for _, name := range cat.TypeNames() {
			t, _ := cat.Type(name)
			r.Rows = append(r.Rows, []string{name, t.String()})
		}
	case "FUNCTIONS":
		r.Columns = []string{"name", "category"}
		for _, d := range function.Default().All() {
			r.Rows = append(r.Rows, []string{d.Name, string(d.Category)})
		}
	case "PROPERTIES":
		r.Columns = []string{"property", "value"}
		r.Rows = pairs(e.settings(s))
	case "VARIABLES":
		r.Columns = []string{"name", "value"}
		r.Rows = pairs(s.Variables)
	case "CONNECTORS", "CONNECTOR PLUGINS":
		return nil, &types.Error{Kind: types.ErrUnsupported, Pos: x.Pos(), Message: "connectors are not supported yet"}
	}
	return r, nil
}

func pairs(m map[string]string) [][]string {
	var out [][]string
	for k, v := range m {
		out = append(out, []string{k, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i][0] < out[j][0] })
	return out
}

// showQueries lists queries; EXTENDED adds what each has read and written, how
// many keys of state it loaded at its start, and its faults.
func (e *Engine) showQueries(x *sql.Show, r *Result) {
	r.Columns = []string{"id", "queryType", "state", "sink", "queryString"}
	if x.Extended {
		r.Columns = []string{"id", "state", "recordsRead", "recordsWritten", "keysLoaded", "faults", "recordsReplayed", "changelog", "error"}
	}
	cat := e.Catalog()
	for _, id := range cat.QueryIDs() {
		q, _ := cat.Query(id)
		e.mu.RLock()
		run := e.queries[id]
		e.mu.RUnlock()
		st, reason := string(q.State), ""
		if run != nil {
			run.mu.Lock()
			if run.err != nil {
				st, reason = "ERROR", run.err.Error()
			}
			run.mu.Unlock()
		}
		if !x.Extended {
			r.Rows = append(r.Rows, []string{id, "PERSISTENT", st, q.Sink, q.SQL})
			continue
		}
		row := []string{id, st, "0", "0", "0", "", "0", "", reason}
		if run != nil && run.unit != nil {
			n := run.unit.Counts()
			row[2], row[3], row[4] = strconv.FormatInt(n.Consumed, 10), strconv.FormatInt(n.Produced, 10), strconv.FormatInt(n.Loaded, 10)
			row[5], row[6], row[7] = run.faultText(), strconv.FormatInt(n.Replayed, 10), run.unit.Changelog()
		}
		r.Rows = append(r.Rows, row)
	}
}

// faultText lists a query's faults: count, reason, and where the last was.
func (r *running) faultText() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, f := range r.faults {
		text := fmt.Sprintf("%d × %s at %s: %s", f.Count, f.Reason, f.Step, f.Last.Message)
		if f.Last.Offset >= 0 {
			text += fmt.Sprintf(" (last: topic %s, partition %d, offset %d)", f.Last.Topic, f.Last.Partition, f.Last.Offset)
		}
		parts = append(parts, text)
	}
	sort.Strings(parts)
	return strings.Join(parts, "; ")
}

func (e *Engine) describe(x *sql.Describe) (*Result, error) {
	switch x.What {
	case "FUNCTION":
		d := function.Default().Find(upper(x.Name))
		if d == nil {
			return nil, types.Errorf(types.ErrNotFound, x.Pos(), "Can't find any functions with the name '%s'", x.Name)
		}
		r := &Result{Kind: "describe_function", Message: d.Name + ": " + d.Description, Columns: []string{"variation", "description"}}
		for i := range d.Signatures {
			r.Rows = append(r.Rows, []string{d.Name + d.Signatures[i].String(), d.Description})
		}
		return r, nil
	case "SOURCE":
		src, ok := e.Catalog().Source(x.Name)
		if !ok {
			return nil, types.Errorf(types.ErrNotFound, x.Pos(), "Could not find STREAM/TABLE '%s' in the Metastore", x.Name)
		}
		r := &Result{Kind: "sourceDescription", Message: string(src.Kind) + " " + src.Name + " over topic " + src.Topic, Columns: []string{"name", "type"}}
		for _, c := range src.Schema.Columns {
			t := c.Type.String()
			if c.Namespace == types.NamespaceKey {
				t += " (key)"
			}
			r.Rows = append(r.Rows, []string{c.Name, t})
		}
		return r, nil
	}
	return nil, &types.Error{Kind: types.ErrUnsupported, Pos: x.Pos(), Message: "DESCRIBE " + x.What + " is not supported yet"}
}

// explain shows the plan of a statement or of a running query.
func (e *Engine) explain(ctx context.Context, x *sql.Explain, s *Session) (*Result, error) {
	r := &Result{Kind: "queryDescription", Columns: []string{"plan"}}
	var text string
	if x.Statement == nil {
		for _, id := range e.Catalog().QueryIDs() {
			if strings.EqualFold(id, x.QueryID) {
				q, _ := e.Catalog().Query(id)
				text = planner.Explain(q.Plan)
			}
		}
		if text == "" {
			return nil, types.Errorf(types.ErrNotFound, x.Pos(), "Query with id:%s does not exist", x.QueryID)
		}
	} else {
		in, err := e.input(ctx, s, x.Statement)
		if err != nil {
			return nil, err
		}
		if sel, ok := x.Statement.(*sql.SelectStmt); ok {
			p, _, err := planner.PlanPush(sel.Query, in, "transient", sel.Pos())
			if err != nil {
				return nil, err
			}
			text = planner.Explain(p)
		} else {
			res, err := planner.Plan(x.Statement, in)
			if err != nil {
				return nil, err
			}
			if res.Change == nil || res.Change.Start == nil {
				return nil, types.Errorf(types.ErrStatement, x.Pos(), "only queries have a plan to explain")
			}
			text = planner.Explain(res.Change.Start.Plan)
		}
	}
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		r.Rows = append(r.Rows, []string{line})
	}
	return r, nil
}
