package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"karst/exec"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/server/api"
	"karst/sql/function"
	"karst/sql/types"
)

// entity turns a statement's answer into what the API says of it; an INSERT
// or SET says nothing.
func entity(r exec.Result) (api.Entity, bool) {
	e := api.Entity{Statement: r.Statement + ";", Warnings: []api.Warning{}}
	switch a := r.Answer.(type) {
	case exec.Done:
		doneEntity(&e, a)
	case exec.Sources:
		sourcesEntity(&e, a)
		for _, s := range a.List {
			warn(&e, s.Damage)
		}
	case exec.Topics:
		topicsEntity(&e, a)
		for _, t := range a.List {
			warn(&e, t.Damage)
		}
	case exec.Queries:
		queriesEntity(&e, a)
	case exec.Explained:
		d := queryDescription(a.Query)
		d.ExecutionPlan = a.Plan
		e.Type, e.Query = "queryDescription", &d
	case exec.Properties:
		propertiesEntity(&e, a)
	case exec.Functions:
		functionsEntity(&e, a)
	case exec.Types:
		e.Type, e.Types = "type_list", map[string]*api.FieldSchema{}
		for i, name := range a.Names {
			e.Types[name] = fieldSchema(a.Types[i])
		}
	case exec.Variables:
		e.Type, e.Variables = "variables", []api.Variable{}
		for i, name := range a.Names {
			e.Variables = append(e.Variables, api.Variable{Name: name, Value: a.Values[i]})
		}
	case exec.Asserted:
		e.Type, e.Exists = "assert_topic", &a.Exists
		if a.Topic != "" {
			e.TopicName = &a.Topic
		} else {
			e.Type, e.ID = "assert_schema", a.ID
			if a.Subject != "" {
				e.Subject = &a.Subject
			}
		}
	default:
		return e, false
	}
	return e, true
}

func warn(e *api.Entity, texts []string) {
	for _, text := range texts {
		e.Warnings = append(e.Warnings, api.Warning{Message: text})
	}
}

func doneEntity(e *api.Entity, a exec.Done) {
	e.Type = "currentStatus"
	e.Status = &api.CommandStatus{Status: "SUCCESS", Message: a.Message}
	if a.QueryID != "" {
		e.Status.QueryID = &a.QueryID
	}
	sequence := int64(-1) // nothing was written
	if a.Command != "" {
		e.CommandID, sequence = &a.Command, a.Offset
	}
	e.Sequence = &sequence
}

func sourcesEntity(e *api.Entity, a exec.Sources) {
	switch {
	case a.One:
		d := sourceDescription(a.List[0], a.Detail)
		e.Type, e.Source = "sourceDescription", &d
		return
	case a.Detail:
		e.Type, e.Sources = "source_descriptions", []api.SourceDescription{}
		for _, s := range a.List {
			e.Sources = append(e.Sources, sourceDescription(s, true))
		}
		return
	}
	lines := []api.SourceLine{}
	for _, s := range a.List {
		lines = append(lines, api.SourceLine{Type: string(s.Kind), Name: s.Name, Topic: s.Topic, KeyFormat: s.KeyFormat.Name, ValueFormat: s.ValueFormat.Name, IsWindowed: s.Window != nil})
	}
	if a.Tables {
		e.Type, e.Tables = "tables", lines
	} else {
		e.Type, e.Streams = "streams", lines
	}
}

func sourceDescription(s exec.SourceInfo, extended bool) api.SourceDescription {
	d := api.SourceDescription{Name: s.Name, WindowType: windowType(s.Window), Fields: fields(s.Schema), Type: string(s.Kind), Extended: extended,
		KeyFormat: s.KeyFormat.Name, ValueFormat: s.ValueFormat.Name, Topic: s.Topic, Statement: s.SQL,
		ReadQueries: queryLines(s.Readers), WriteQueries: queryLines(s.Writers), QueryOffsetSummaries: []api.OffsetSummary{}, SourceConstraints: []string{}}
	if s.Timestamp != nil {
		d.Timestamp = s.Timestamp.Column
	}
	if s.Above != nil {
		d.SourceConstraints = s.Above
	}
	if !extended {
		return d
	}
	d.Partitions, d.Replication = s.Partitions, 1
	var stats, faults []string
	for _, q := range s.Writers {
		stats = append(stats, fmt.Sprintf("written by %s: %d records", q.ID, q.Written))
	}
	for _, q := range s.Readers {
		stats = append(stats, fmt.Sprintf("read by %s: %d records", q.ID, q.Read))
		for _, f := range q.Faults {
			faults = append(faults, fmt.Sprintf("%s: %d × %s", q.ID, f.Count, f.Reason))
		}
		d.QueryOffsetSummaries = append(d.QueryOffsetSummaries, offsetSummary(q))
	}
	d.Statistics, d.ErrorStats = strings.Join(stats, "\n"), strings.Join(faults, "\n")
	return d
}

func offsetSummary(q exec.QueryInfo) api.OffsetSummary {
	s := api.OffsetSummary{GroupID: "karst-query-" + q.ID, TopicSummaries: []api.TopicOffsets{}}
	for _, p := range q.Positions {
		n := len(s.TopicSummaries)
		if n == 0 || s.TopicSummaries[n-1].KafkaTopic != p.Partition.Topic {
			s.TopicSummaries = append(s.TopicSummaries, api.TopicOffsets{KafkaTopic: p.Partition.Topic})
			n++
		}
		t := &s.TopicSummaries[n-1]
		t.Offsets = append(t.Offsets, api.Offset{Partition: p.Partition.Index, LogStartOffset: p.Start, LogEndOffset: p.End, ConsumerOffset: p.Committed})
	}
	return s
}

func windowType(w *plan.Window) *string {
	if w == nil {
		return nil
	}
	kind := string(w.Kind)
	return &kind
}

func fields(s types.Schema) []api.Field {
	out := []api.Field{}
	for _, c := range s.Columns {
		f := api.Field{Name: c.Name, Schema: fieldSchema(c.Type)}
		switch c.Namespace {
		case types.NamespaceKey:
			f.Type = "KEY"
		case types.NamespaceHeaders:
			f.Type, f.Header = "HEADER", c.HeaderKey
		}
		out = append(out, f)
	}
	return out
}

func fieldSchema(t *types.Type) *api.FieldSchema {
	name, _, _ := strings.Cut(t.String(), "<")
	name, _, _ = strings.Cut(name, "(")
	s := &api.FieldSchema{Type: name}
	switch t.Kind() {
	case types.KindDecimal:
		s.Parameters = map[string]int{"precision": t.Precision(), "scale": t.Scale()}
	case types.KindArray, types.KindMap:
		s.MemberSchema = fieldSchema(t.Elem())
	case types.KindStruct:
		s.Fields = []api.Field{}
		for _, f := range t.Fields() {
			s.Fields = append(s.Fields, api.Field{Name: f.Name, Schema: fieldSchema(f.Type)})
		}
	}
	return s
}

func topicsEntity(e *api.Entity, a exec.Topics) {
	e.Type, e.Topics = "kafka_topics", []api.TopicLine{}
	if a.Extended {
		e.Type = "kafka_topics_extended"
	}
	for _, t := range a.List {
		line := api.TopicLine{Name: t.Name, ReplicaInfo: slices.Repeat([]int{1}, int(t.Partitions)), Records: t.Records}
		if a.Extended {
			readers := t.Readers
			line.ConsumerCount, line.ConsumerGroupCount = &readers, &readers
		}
		e.Topics = append(e.Topics, line)
	}
}

func queriesEntity(e *api.Entity, a exec.Queries) {
	if !a.Extended {
		e.Type, e.Queries = "queries", queryLines(a.List)
		return
	}
	e.Type, e.QueryDetails = "query_descriptions", []api.QueryDescription{}
	for _, q := range a.List {
		e.QueryDetails = append(e.QueryDetails, queryDescription(q))
	}
}

func queryLines(list []exec.QueryInfo) []api.QueryLine {
	out := []api.QueryLine{}
	for _, q := range list {
		line := api.QueryLine{QueryString: q.Text, Sinks: []string{}, SinkKafkaTopics: []string{}, ID: q.ID, StatusCount: map[string]int{q.State: 1}, QueryType: "PERSISTENT", State: q.State}
		if q.Push {
			line.QueryType = "PUSH"
		}
		if q.Sink != nil {
			line.Sinks, line.SinkKafkaTopics = append(line.Sinks, q.Sink.Name), append(line.SinkKafkaTopics, q.Sink.Topic)
		}
		out = append(out, line)
	}
	return out
}

func queryDescription(q exec.QueryInfo) api.QueryDescription {
	d := api.QueryDescription{ID: q.ID, StatementText: q.Text, Fields: []api.Field{}, Sources: []string{}, Sinks: []string{}, OverriddenProps: map[string]string{},
		HostQueryStatus: map[string]string{}, QueryType: "PERSISTENT", QueryErrors: []api.QueryError{}, TasksMetadata: []struct{}{}, State: q.State}
	if q.State != "" {
		d.HostQueryStatus["localhost"] = q.State
	}
	if q.Error != "" {
		d.QueryErrors = append(d.QueryErrors, api.QueryError{Message: q.Error, Type: "UNKNOWN"})
	}
	if q.Push || q.Query == nil {
		d.QueryType = "PUSH"
		return d
	}
	describePlan(&d, q.Query)
	if q.State == "" { // it does not run: it was explained
		return d
	}
	d.Statistics = &api.Statistics{RecordsRead: q.Read, RecordsWritten: q.Written, StateLoaded: q.Loaded, StateReplayed: q.Replayed, Changelog: q.Changelog}
	d.Faults = []api.Fault{}
	for _, f := range q.Faults {
		d.Faults = append(d.Faults, api.Fault{Step: f.Step, Reason: f.Reason, Count: f.Count, Message: f.Last.Message, Topic: f.Last.Topic, Partition: f.Last.Partition, Offset: f.Last.Offset})
	}
	return d
}

// describePlan adds what a query's plan tells.
func describePlan(d *api.QueryDescription, q *catalog.Query) {
	root := q.Plan.Root.Meta()
	d.WindowType, d.Fields = windowType(root.Window), fields(root.Schema)
	if q.Sink != "" {
		d.Sinks = append(d.Sinks, q.Sink)
	}
	plan.Walk(q.Plan.Root, func(s plan.Step) {
		if src, ok := s.(*plan.Source); ok && !slices.Contains(d.Sources, src.Source) {
			d.Sources = append(d.Sources, src.Source)
		}
		if _, ok := s.(*plan.Output); ok {
			d.QueryType = "PUSH"
		}
	})
	if q.State == catalog.Paused {
		d.State = string(catalog.Paused)
	}
}

func propertiesEntity(e *api.Entity, a exec.Properties) {
	e.Type, e.Properties, e.OverwrittenProperties, e.DefaultProperties = "properties", []api.Property{}, []string{}, []string{}
	for _, p := range a.List {
		line := api.Property{Name: p.Name, Scope: "KSQL", Value: p.Value, Editable: true, Level: "SERVER", Description: p.Description}
		if !strings.HasPrefix(p.Name, "ksql.") {
			line.Scope = "KAFKA_STREAMS"
		}
		switch {
		case p.Overridden:
			line.Level = "QUERY"
			e.OverwrittenProperties = append(e.OverwrittenProperties, p.Name)
		case p.Value == p.Default:
			e.DefaultProperties = append(e.DefaultProperties, p.Name)
		}
		e.Properties = append(e.Properties, line)
	}
}

var functionKinds = map[function.Kind]string{function.Scalar: "SCALAR", function.Aggregate: "AGGREGATE", function.Table: "TABLE"}

func functionsEntity(e *api.Entity, a exec.Functions) {
	if a.One {
		describeFunction(e, a.List[0])
		return
	}
	lines := []api.FunctionLine{}
	for _, d := range a.List {
		lines = append(lines, api.FunctionLine{Name: d.Name, Type: functionKinds[d.Kind], Category: string(d.Category)})
	}
	e.Type, e.Functions = "function_names", raw(lines)
}

func describeFunction(e *api.Entity, d *function.Def) {
	kind, author, version, path := functionKinds[d.Kind], "Karst", Version, "internal"
	e.Type, e.Name, e.Description, e.Author, e.Version, e.Path, e.Kind = "describe_function", &d.Name, &d.Description, &author, &version, &path, &kind
	list := []api.Variation{}
	for i := range d.Signatures {
		s := &d.Signatures[i]
		v := api.Variation{Arguments: []api.Argument{}, ReturnType: s.Result(), Description: d.Description}
		for _, p := range s.Params {
			v.Arguments = append(v.Arguments, api.Argument{Name: p.Name, Type: p.Pattern.String(), Description: p.Description, IsVariadic: p.Variadic})
		}
		list = append(list, v)
	}
	e.Functions = raw(list)
}

// raw encodes what can be encoded.
func raw(v any) json.RawMessage {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // plain structs
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
}
