package exec

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"karst/log"
	"karst/planner"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/function"
	"karst/sql/types"
)

// show answers SHOW and LIST.
func (e *Engine) show(ctx context.Context, x *sql.Show, s *Session) (Answer, error) {
	cat := e.Catalog()
	switch x.What {
	case "STREAMS", "TABLES":
		return e.sources(ctx, x.What == "TABLES", x.Extended)
	case "TOPICS":
		return e.topics(ctx, x)
	case "QUERIES":
		list, err := e.queryInfos(ctx, x.Extended)
		return Queries{x.Extended, list}, err
	case "TYPES":
		a := Types{Names: cat.TypeNames()}
		for _, name := range a.Names {
			t, _ := cat.Type(name)
			a.Types = append(a.Types, t)
		}
		return a, nil
	case "FUNCTIONS":
		return Functions{List: function.Default().All()}, nil
	case "PROPERTIES":
		return Properties{e.listProperties(s)}, nil
	case "VARIABLES":
		a := Variables{Names: slices.Sorted(maps.Keys(s.Variables))}
		for _, name := range a.Names {
			a.Values = append(a.Values, s.Variables[name])
		}
		return a, nil
	}
	return nil, noConnectors(x.Pos())
}

// noConnectors refuses what would need Kafka Connect.
func noConnectors(at types.Pos) error {
	return &types.Error{Kind: types.ErrUnsupported, Pos: at, Message: "connectors are not supported: there is no Kafka Connect behind this server",
		Hint: "A Connect cluster of your own can read and write the topics; or use 'ksh produce' and 'ksh consume'."}
}

func (e *Engine) sources(ctx context.Context, tables, detail bool) (Answer, error) {
	cat := e.Catalog()
	a := Sources{Tables: tables, Detail: detail}
	for _, name := range cat.SourceNames() {
		src, _ := cat.Source(name)
		if src.IsTable() != tables {
			continue
		}
		info := SourceInfo{Source: src}
		if detail {
			var err error
			if info, err = e.sourceInfo(ctx, cat, src, true); err != nil {
				return nil, err
			}
		}
		a.List = append(a.List, info)
	}
	return a, nil
}

func (e *Engine) sourceInfo(ctx context.Context, cat *catalog.Catalog, src *catalog.Source, positions bool) (SourceInfo, error) {
	info := SourceInfo{Source: src, Above: cat.DerivedFrom(src.Name)}
	if t, err := e.opts.Log.Topic(ctx, src.Topic); err == nil {
		info.Partitions, info.Damage = int(t.Partitions), e.damage(ctx, t)
	}
	for _, part := range []struct {
		ids []string
		out *[]QueryInfo
	}{{cat.Readers(src.Name), &info.Readers}, {writers(cat, src.Name), &info.Writers}} {
		for _, id := range part.ids {
			q, ok := cat.Query(id)
			if !ok {
				continue
			}
			qi, err := e.queryInfo(ctx, cat, q, positions)
			if err != nil {
				return info, err
			}
			*part.out = append(*part.out, qi)
		}
	}
	return info, nil
}

func (e *Engine) topics(ctx context.Context, x *sql.Show) (Answer, error) {
	a := Topics{Extended: x.Extended}
	list, err := e.opts.Log.Topics(ctx)
	if err != nil {
		return nil, err
	}
	cat := e.Catalog()
	for _, t := range list {
		if strings.HasPrefix(t.Name, "_") && !x.All {
			continue
		}
		info := TopicInfo{Topic: t, Damage: e.damage(ctx, t)}
		for i := range t.Partitions {
			if slices.Contains(t.Offline, i) {
				continue
			}
			b, err := e.opts.Log.Bounds(ctx, log.Partition{Topic: t.Name, Index: i})
			if err != nil {
				return nil, err
			}
			info.Records += b.LastStable - b.Start
		}
		for _, id := range cat.QueryIDs() {
			if q, _ := cat.Query(id); planTopics(q.Plan)[t.Name] {
				info.Readers++
			}
		}
		a.List = append(a.List, info)
	}
	return a, nil
}

// damage says why partitions of a topic are offline.
func (e *Engine) damage(ctx context.Context, t log.Topic) (reasons []string) {
	for _, i := range t.Offline {
		if _, err := e.opts.Log.Bounds(ctx, log.Partition{Topic: t.Name, Index: i}); err != nil {
			reasons = append(reasons, err.Error())
		}
	}
	return reasons
}

// bounds returns the ends of a topic's partitions.
func (e *Engine) bounds(ctx context.Context, topic string) ([]PositionInfo, error) {
	ends, err := e.ends(ctx, map[string]bool{topic: true})
	if err != nil {
		return nil, err
	}
	var out []PositionInfo
	for p, end := range ends {
		b, err := e.opts.Log.Bounds(ctx, p)
		if err != nil {
			return nil, err
		}
		out = append(out, PositionInfo{Partition: p, Start: b.Start, End: end})
	}
	slices.SortFunc(out, func(a, b PositionInfo) int { return int(a.Partition.Index - b.Partition.Index) })
	return out, nil
}

// queryInfos lists the queries that run, or should, and those of clients.
func (e *Engine) queryInfos(ctx context.Context, positions bool) ([]QueryInfo, error) {
	cat := e.Catalog()
	var out []QueryInfo
	for _, id := range cat.QueryIDs() {
		q, _ := cat.Query(id)
		info, err := e.queryInfo(ctx, cat, q, positions)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	for _, t := range e.pushQueries() {
		out = append(out, QueryInfo{ID: t.id, Text: t.text, Push: true, State: string(catalog.Running)})
	}
	return out, nil
}

func (e *Engine) queryInfo(ctx context.Context, cat *catalog.Catalog, q *catalog.Query, positions bool) (QueryInfo, error) {
	info := QueryInfo{ID: q.ID, Text: q.SQL, Query: q, State: string(q.State)}
	info.Sink, _ = cat.Source(q.Sink)
	e.mu.RLock()
	r := e.queries[q.ID]
	e.mu.RUnlock()
	if r == nil {
		return info, nil
	}
	r.describe(&info)
	unit := r.running()
	if unit == nil {
		return info, nil
	}
	n := unit.Counts()
	info.Read, info.Written, info.Loaded, info.Replayed, info.Changelog = n.Consumed, n.Produced, n.Loaded, n.Replayed, unit.Changelog()
	if !positions {
		return info, nil
	}
	for _, topic := range slices.Sorted(maps.Keys(r.topics)) {
		list, err := e.bounds(ctx, topic)
		if err != nil {
			return info, err
		}
		for _, p := range list {
			p.Committed = unit.Committed(p.Partition)
			info.Positions = append(info.Positions, p)
		}
	}
	return info, nil
}

// describe adds what only the running query knows.
func (r *running) describe(info *QueryInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		info.State, info.Error = "ERROR", r.err.Error()
	}
	for _, f := range r.faults {
		info.Faults = append(info.Faults, *f)
	}
	slices.SortFunc(info.Faults, func(a, b FaultCount) int { return strings.Compare(a.Step+a.Reason, b.Step+b.Reason) })
}

// describe answers DESCRIBE.
func (e *Engine) describe(ctx context.Context, x *sql.Describe) (Answer, error) {
	switch x.What {
	case "FUNCTION":
		d := function.Default().Find(strings.ToUpper(x.Name))
		if d == nil {
			err := types.Errorf(types.ErrNotFound, x.Pos(), "Can't find any functions with the name '%s'", x.Name)
			var names []string
			for _, d := range function.Default().All() {
				names = append(names, d.Name)
			}
			if n := types.Nearest(strings.ToUpper(x.Name), names); n != "" {
				err.Hint = "Did you mean " + n + "?"
			}
			return nil, err
		}
		return Functions{One: true, List: []*function.Def{d}}, nil
	case "STREAMS", "TABLES":
		return e.sources(ctx, x.What == "TABLES", true)
	case "SOURCE":
		cat := e.Catalog()
		src, ok := cat.Source(x.Name)
		if !ok {
			err := types.Errorf(types.ErrNotFound, x.Pos(), "Could not find STREAM/TABLE '%s' in the Metastore", x.Name)
			if n := types.Nearest(x.Name, cat.SourceNames()); n != "" {
				err.Hint = "Did you mean " + n + "?"
			}
			return nil, err
		}
		info, err := e.sourceInfo(ctx, cat, src, x.Extended)
		return Sources{Tables: src.IsTable(), Detail: x.Extended, One: true, List: []SourceInfo{info}}, err
	}
	return nil, noConnectors(x.Pos())
}

// explain shows the plan of a statement or of a running query.
func (e *Engine) explain(ctx context.Context, x *sql.Explain, s *Session) (Answer, error) {
	cat := e.Catalog()
	if x.Statement == nil {
		for _, id := range cat.QueryIDs() {
			if q, _ := cat.Query(id); strings.EqualFold(id, x.QueryID) {
				info, err := e.queryInfo(ctx, cat, q, false)
				return Explained{info, planner.Explain(q.Plan)}, err
			}
		}
		err := types.Errorf(types.ErrNotFound, x.Pos(), "Query with id:%s does not exist", x.QueryID)
		err.Hint = "SHOW QUERIES lists them."
		return nil, err
	}
	p, err := e.planOf(ctx, x, s)
	if err != nil {
		return nil, err
	}
	info := QueryInfo{Text: x.Statement.Text(), Query: &catalog.Query{ID: p.QueryID, Plan: p}}
	if sink, ok := p.Root.(*plan.Sink); ok {
		info.ID, info.Query.Sink = p.QueryID, sink.Sink
	}
	return Explained{info, planner.Explain(p)}, nil
}

func (e *Engine) planOf(ctx context.Context, x *sql.Explain, s *Session) (*plan.Plan, error) {
	in, err := e.input(ctx, s, x.Statement)
	if err != nil {
		return nil, err
	}
	sel, ok := x.Statement.(*sql.SelectStmt)
	if !ok {
		r, err := planner.Plan(x.Statement, in)
		switch {
		case err != nil:
			return nil, err
		case r.Change == nil || r.Change.Start == nil:
			return nil, types.Errorf(types.ErrStatement, x.Pos(), "only queries have a plan to explain")
		}
		return r.Change.Start.Plan, nil
	}
	if q, ok := sel.Query.(*sql.Query); ok && q.Emit == sql.EmitNone {
		p, err := planner.PlanPull(sel.Query, in, "query", sel.Pos())
		if err != nil {
			return nil, err
		}
		return p.Plan, nil
	}
	p, _, err := planner.PlanPush(sel.Query, in, "transient", sel.Pos())
	return p, err
}

// commandOf names a defining statement in the command log.
func commandOf(stmt sql.Statement) string {
	kind := func(table bool) string {
		if table {
			return "table"
		}
		return "stream"
	}
	switch x := stmt.(type) {
	case *sql.CreateSource:
		return fmt.Sprintf("%s/%s/create", kind(x.Table), types.QuoteAlways(x.Name))
	case *sql.DropSource:
		return fmt.Sprintf("%s/%s/drop", kind(x.Table), x.Name)
	case *sql.AlterSource:
		return fmt.Sprintf("%s/%s/alter", kind(x.Table), x.Name)
	case *sql.InsertSelect:
		return fmt.Sprintf("stream/%s/create", types.QuoteAlways(x.Target))
	case *sql.AlterSystem:
		return fmt.Sprintf("cluster/%s/alter", x.Name)
	case *sql.CreateType:
		return fmt.Sprintf("type/%s/create", x.Name)
	case *sql.DropType:
		return fmt.Sprintf("type/%s/drop", x.Name)
	case *sql.QueryControl:
		id := x.ID
		if x.All {
			id = "ALL"
		}
		return fmt.Sprintf("%s/%s/execute", strings.ToLower(x.Action), id)
	}
	return ""
}
