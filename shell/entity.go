package shell

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"karst/server/api"
)

// A listing is an answer as text before a table and after it; columns and rows
// may be nil.
type listing struct {
	before, after string
	columns       []string
	rows          [][]string
}

// printEntity prints the answer to one statement.
func (r *Runner) printEntity(e api.Entity) {
	out, f := r.Out, r.Format
	if f == JSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(e); err != nil {
			fmt.Fprintln(out, err)
		}
		return
	}
	for _, w := range e.Warnings {
		fmt.Fprintln(r.Err, "WARNING: "+w.Message)
	}
	if f == CSV && e.Type == "currentStatus" {
		out = r.Err
	}
	for _, l := range listings(e) {
		if f == CSV && l.columns != nil {
			l.before, l.after = "", ""
		}
		if l.before != "" {
			fmt.Fprintln(out, strings.TrimRight(l.before, "\n"))
		}
		if l.columns != nil {
			p := newPrinter(out, f, l.columns, false)
			for _, row := range l.rows {
				p.row(row, nil)
			}
			p.end()
		}
		if l.after != "" {
			fmt.Fprintln(out, strings.TrimRight(l.after, "\n"))
		}
	}
}

func listings(e api.Entity) []listing {
	switch e.Type {
	case "currentStatus":
		return []listing{{before: e.Status.Message}}
	case "streams":
		return []listing{sourceLines("Stream Name", e.Streams)}
	case "tables":
		return []listing{sourceLines("Table Name", e.Tables)}
	case "kafka_topics", "kafka_topics_extended":
		return []listing{topicLines(e.Topics)}
	case "queries":
		return []listing{queryLines(e.Queries)}
	case "properties":
		return []listing{propertyLines(e.Properties)}
	case "function_names", "describe_function":
		return functionLines(e)
	case "type_list":
		return []listing{typeLines(e.Types)}
	case "variables":
		l := listing{columns: []string{"Variable Name", "Value"}}
		for _, v := range e.Variables {
			l.rows = append(l.rows, []string{v.Name, v.Value})
		}
		return []listing{l}
	case "sourceDescription":
		return describeSource(*e.Source)
	case "source_descriptions":
		var out []listing
		for _, s := range e.Sources {
			out = append(out, describeSource(s)...)
		}
		return out
	case "queryDescription":
		return []listing{describeQuery(*e.Query)}
	case "query_descriptions":
		var out []listing
		for _, q := range e.QueryDetails {
			out = append(out, describeQuery(q))
		}
		return out
	case "assert_topic":
		return []listing{{before: "Topic " + *e.TopicName + existence(*e.Exists)}}
	case "assert_schema":
		what := "Schema"
		if e.Subject != nil {
			what += " with subject " + *e.Subject
		}
		if e.ID != nil {
			what += fmt.Sprintf(" id %d", *e.ID)
		}
		return []listing{{before: what + existence(*e.Exists)}}
	}
	text, err := json.Marshal(e)
	if err != nil {
		return []listing{{before: err.Error()}}
	}
	return []listing{{before: string(text)}}
}

func existence(exists bool) string {
	if exists {
		return " exists."
	}
	return " does not exist."
}

func sourceLines(title string, list []api.SourceLine) listing {
	l := listing{columns: []string{title, "Kafka Topic", "Key Format", "Value Format", "Windowed"}}
	for _, s := range list {
		l.rows = append(l.rows, []string{s.Name, s.Topic, s.KeyFormat, s.ValueFormat, strconv.FormatBool(s.IsWindowed)})
	}
	return l
}

func topicLines(list []api.TopicLine) listing {
	l := listing{columns: []string{"Kafka Topic", "Partitions", "Partition Replicas", "Records"}}
	for _, t := range list {
		replicas := 0
		if len(t.ReplicaInfo) > 0 {
			replicas = t.ReplicaInfo[0]
		}
		row := []string{t.Name, strconv.Itoa(len(t.ReplicaInfo)), strconv.Itoa(replicas), strconv.FormatInt(t.Records, 10)}
		if t.ConsumerCount != nil {
			row = append(row, strconv.Itoa(*t.ConsumerCount))
		}
		l.rows = append(l.rows, row)
	}
	if len(list) > 0 && list[0].ConsumerCount != nil {
		l.columns = append(l.columns, "Queries")
	}
	return l
}

func queryLines(list []api.QueryLine) listing {
	l := listing{columns: []string{"Query ID", "Query Type", "Status", "Sink Name", "Sink Kafka Topic", "Query String"}, after: "For detailed information on a Query run: EXPLAIN <Query ID>;"}
	for _, q := range list {
		l.rows = append(l.rows, []string{q.ID, q.QueryType, q.State, strings.Join(q.Sinks, ","), strings.Join(q.SinkKafkaTopics, ","), strings.Join(strings.Fields(q.QueryString), " ")})
	}
	return l
}

func propertyLines(list []api.Property) listing {
	l := listing{columns: []string{"Property", "Scope", "Level", "Value", "Description"}}
	for _, p := range list {
		l.rows = append(l.rows, []string{p.Name, p.Scope, p.Level, p.Value, p.Description})
	}
	return l
}

func typeLines(m map[string]*api.FieldSchema) listing {
	l := listing{columns: []string{"Type Name", "Schema"}}
	for name, t := range m {
		l.rows = append(l.rows, []string{name, typeText(t)})
	}
	slices.SortFunc(l.rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return l
}

// typeText writes a type as SQL does.
func typeText(t *api.FieldSchema) string {
	switch {
	case t.Type == "STRUCT":
		var parts []string
		for _, f := range t.Fields {
			parts = append(parts, f.Name+" "+typeText(f.Schema))
		}
		return "STRUCT<" + strings.Join(parts, ", ") + ">"
	case t.Type == "ARRAY":
		return "ARRAY<" + typeText(t.MemberSchema) + ">"
	case t.Type == "MAP":
		return "MAP<STRING, " + typeText(t.MemberSchema) + ">"
	case t.Parameters != nil:
		return fmt.Sprintf("%s(%d, %d)", t.Type, t.Parameters["precision"], t.Parameters["scale"])
	}
	return t.Type
}

func functionLines(e api.Entity) []listing {
	if e.Type == "function_names" {
		var list []api.FunctionLine
		if err := json.Unmarshal(e.Functions, &list); err != nil {
			return []listing{{before: err.Error()}}
		}
		l := listing{columns: []string{"Function Name", "Category", "Type"}, after: "For detailed information about a function, run: DESCRIBE FUNCTION <Function Name>;"}
		for _, f := range list {
			l.rows = append(l.rows, []string{f.Name, f.Category, f.Type})
		}
		return []listing{l}
	}
	var list []api.Variation
	if err := json.Unmarshal(e.Functions, &list); err != nil {
		return []listing{{before: err.Error()}}
	}
	l := listing{before: fmt.Sprintf("Name        : %s\nType        : %s\nOverview    : %s\nVariations  :", *e.Name, *e.Kind, *e.Description)}
	for _, v := range list {
		var args []string
		for _, a := range v.Arguments {
			arg := a.Name + " " + a.Type
			if a.IsVariadic {
				arg += "..."
			}
			args = append(args, arg)
		}
		l.before += "\n  " + *e.Name + "(" + strings.Join(args, ", ") + ")"
		if v.ReturnType != "" {
			l.before += " => " + v.ReturnType
		}
	}
	return []listing{l}
}

func describeSource(s api.SourceDescription) []listing {
	l := listing{before: "Name                 : " + s.Name, columns: []string{"Field", "Type"}}
	if s.Extended {
		l.before += fmt.Sprintf("\nType                 : %s\nTimestamp field      : %s\nKey format           : %s\nValue format         : %s\nKafka topic          : %s (partitions: %d, replication: %d)\nStatement            : %s",
			s.Type, orText(s.Timestamp, "Not set - using <ROWTIME>"), s.KeyFormat, s.ValueFormat, s.Topic, s.Partitions, s.Replication, s.Statement)
	}
	for _, f := range s.Fields {
		l.rows = append(l.rows, []string{f.Name, fieldType(s, f)})
	}
	if !s.Extended {
		l.after = "For runtime statistics and query details run: DESCRIBE " + s.Name + " EXTENDED;"
		return []listing{l}
	}
	l.after = queriesOf("Queries that read from this "+s.Type, s.ReadQueries) + queriesOf("Queries that write into this "+s.Type, s.WriteQueries)
	if s.Statistics != "" {
		l.after += "Statistics:\n  " + strings.ReplaceAll(s.Statistics, "\n", "\n  ") + "\n"
	}
	if s.ErrorStats != "" {
		l.after += "Records not processed in full:\n  " + strings.ReplaceAll(s.ErrorStats, "\n", "\n  ") + "\n"
	}
	for _, sum := range s.QueryOffsetSummaries {
		for _, t := range sum.TopicSummaries {
			for _, o := range t.Offsets {
				l.after += fmt.Sprintf("%s, topic %s, partition %d: from %d, read to %d of %d, %d behind\n", sum.GroupID, t.KafkaTopic, o.Partition, o.LogStartOffset, o.ConsumerOffset, o.LogEndOffset, o.LogEndOffset-o.ConsumerOffset)
			}
		}
	}
	return []listing{l}
}

func queriesOf(title string, list []api.QueryLine) string {
	if len(list) == 0 {
		return ""
	}
	text := title + ":\n"
	for _, q := range list {
		text += "  " + q.ID + " (" + q.State + ") : " + strings.Join(strings.Fields(q.QueryString), " ") + "\n"
	}
	return text
}

func fieldType(s api.SourceDescription, f api.Field) string {
	t := typeText(f.Schema)
	switch {
	case f.Type == "KEY" && s.Type == "TABLE":
		return t + " (primary key)" + windowNote(s)
	case f.Type == "KEY":
		return t + " (key)" + windowNote(s)
	case f.Header != "":
		return t + " (header('" + f.Header + "'))"
	case f.Type == "HEADER":
		return t + " (headers)"
	}
	return t
}

func windowNote(s api.SourceDescription) string {
	if s.WindowType == nil {
		return ""
	}
	return " (Window type: " + *s.WindowType + ")"
}

func describeQuery(q api.QueryDescription) listing {
	l := listing{}
	add := func(name, value string) {
		if value != "" {
			l.before += fmt.Sprintf("%-20s : %s\n", name, value)
		}
	}
	add("ID", q.ID)
	add("Query Type", q.QueryType)
	add("SQL", q.StatementText)
	add("Status", q.State)
	add("Sources", strings.Join(q.Sources, ", "))
	add("Sinks", strings.Join(q.Sinks, ", "))
	for _, e := range q.QueryErrors {
		add("Error", e.Message)
	}
	if st := q.Statistics; st != nil {
		add("Records", fmt.Sprintf("%d read, %d written", st.RecordsRead, st.RecordsWritten))
		add("State", fmt.Sprintf("%d records from disk, %d from the changelog %s", st.StateLoaded, st.StateReplayed, orText(st.Changelog, "(none)")))
	}
	for _, f := range q.Faults {
		where := ""
		if f.Offset >= 0 {
			where = fmt.Sprintf(" (last: topic %s, partition %d, offset %d)", f.Topic, f.Partition, f.Offset)
		}
		add("Faults", fmt.Sprintf("%d × %s at %s: %s%s", f.Count, f.Reason, f.Step, f.Message, where))
	}
	if q.ExecutionPlan != "" {
		l.before += q.ExecutionPlan
	}
	return l
}

func orText(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
