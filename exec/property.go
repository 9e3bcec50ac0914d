package exec

import (
	"slices"
	"strconv"
	"strings"

	"karst/sql/types"
)

// A property is one that SET, or a request, can give a value.
type property struct {
	name   string
	def    string
	what   string
	values []string // nil: any
	number bool
}

func boolean(name, def, what string) property {
	return property{name: name, def: def, what: what, values: []string{"true", "false"}}
}

// properties are those that Karst goes by. The names that ksqlDB has are
// taken from its manual; those after "Karst's own" are not in it.
var properties = []property{
	{name: "auto.offset.reset", def: "latest", what: "Where a new query begins to read: at the beginning of its topics, or with what comes.", values: []string{"earliest", "latest"}},
	{name: "cache.max.bytes.buffering", def: "10000000", what: "0: every change of a table is emitted; else the last one of each key and commit.", number: true},
	{name: "statestore.cache.max.bytes", def: "10000000", what: "The same under its newer name.", number: true},
	boolean("ksql.create.or.replace.enabled", "true", "Whether CREATE OR REPLACE is allowed."),
	{name: "ksql.functions.collect_list.limit", def: "2147483647", what: "The most values that COLLECT_LIST keeps.", number: true},
	{name: "ksql.functions.collect_set.limit", def: "2147483647", what: "The most values that COLLECT_SET keeps.", number: true},
	boolean("ksql.functions.substring.legacy.args", "false", "Whether SUBSTRING counts from 0."),
	boolean("ksql.new.query.planner.enabled", "false", "Whether a stream's projection decides its key columns."),
	{name: "ksql.output.topic.name.prefix", what: "Put before the names of topics that CREATE … AS makes."},
	{name: "ksql.persistence.default.format.key", def: "KAFKA", what: "KEY_FORMAT where a statement gives none."},
	{name: "ksql.persistence.default.format.value", what: "VALUE_FORMAT where a statement gives none."},
	boolean("ksql.persistence.wrap.single.values", "true", "WRAP_SINGLE_VALUE where a statement gives none."),
	boolean("ksql.query.pull.table.scan.enabled", "true", "Whether a pull query may read all rows of a table."),
	boolean("ksql.query.pull.range.scan.enabled", "true", "Whether it may read a range of keys where it may not read all."),
	boolean("ksql.query.pull.stream.enabled", "true", "Whether pull queries on streams are allowed."),
	boolean("ksql.query.push.v2.enabled", "false", "Whether push queries that follow a running query are called scalable."),
	boolean("ksql.timestamp.throw.on.invalid", "false", "Whether a record whose time can't be read stops the query."),
	// Karst's own.
	{name: "ksql.query.pull.consistency", def: "strong", what: "strong: a pull query waits for what was acknowledged before it; committed: it answers at once.", values: []string{"strong", "committed"}},
	{name: maxRowsSetting, def: strconv.Itoa(maxRowsDefault), what: "The most rows that a pull query without LIMIT may give.", number: true},
}

// tolerated are properties of ksqlDB, Kafka Streams and Kafka's clients that
// scripts set and that have no meaning here.
var tolerated = strings.Fields(`
ksql.windowed.session.key.legacy ksql.sink.partitions ksql.sink.replicas ksql.suppress.enabled ksql.variable.substitution.enable
ksql.fail.on.deserialization.error ksql.fail.on.production.error ksql.insert.into.values.enabled ksql.headers.columns.enabled ksql.lambdas.enabled
ksql.rowpartition.rowoffset.enabled ksql.source.table.materialization.enabled ksql.query.pull.max.allowed.offset.lag ksql.query.pull.enable.standby.reads
ksql.query.pull.interpreter.enabled ksql.query.pull.metrics.enabled ksql.query.pull.thread.pool.size ksql.query.push.v2.registry.installed ksql.query.retry.backoff.initial.ms ksql.query.retry.backoff.max.ms
ksql.query.error.max.queue.size ksql.internal.topic.replicas ksql.internal.topic.min.insync.replicas ksql.schema.registry.url ksql.service.id ksql.metrics.extension
application.id client.id bootstrap.servers num.stream.threads num.standby.replicas processing.guarantee commit.interval.ms max.task.idle.ms buffered.records.per.partition
state.dir topology.optimization default.timestamp.extractor replication.factor poll.ms task.timeout.ms window.size.ms rocksdb.config.setter
default.deserialization.exception.handler default.production.exception.handler production.exception.handler deserialization.exception.handler metrics.recording.level
max.poll.records max.poll.interval.ms session.timeout.ms heartbeat.interval.ms fetch.min.bytes fetch.max.bytes fetch.max.wait.ms max.partition.fetch.bytes isolation.level
enable.auto.commit auto.commit.interval.ms acks batch.size linger.ms buffer.memory compression.type retries retry.backoff.ms delivery.timeout.ms max.block.ms max.request.size
request.timeout.ms metadata.max.age.ms connections.max.idle.ms receive.buffer.bytes send.buffer.bytes reconnect.backoff.ms reconnect.backoff.max.ms security.protocol
`)

// toleratedPrefixes begin names of which the rest may be anything.
var toleratedPrefixes = []string{"ksql.functions.", "consumer.", "producer.", "main.consumer.", "restore.consumer.", "global.consumer.", "admin.", "topic.", "__"}

// streamsPrefix may stand before the name of a property of Kafka Streams.
const streamsPrefix = "ksql.streams."

func findProperty(name string) *property {
	short := strings.TrimPrefix(name, streamsPrefix)
	for i := range properties {
		if properties[i].name == short {
			return &properties[i]
		}
	}
	return nil
}

// CheckProperty holds a property to being known and its value to being one
// that it can have. The error is a user's.
func CheckProperty(name, value string, at types.Pos) error {
	p := findProperty(name)
	if p == nil {
		return CheckPropertyName(name, at)
	}
	e := types.Errorf(types.ErrStatement, at, "Invalid value '%s' for property '%s'", value, name)
	switch {
	case p.values != nil && !slices.ContainsFunc(p.values, func(v string) bool { return strings.EqualFold(v, value) }):
		e.Hint = "It can be " + strings.Join(p.values, " or ") + "."
		return e
	case p.number:
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 0 {
			e.Hint = "It must be a number, 0 or greater."
			return e
		}
	}
	return nil
}

// CheckPropertyName holds a property to being known.
func CheckPropertyName(name string, at types.Pos) error {
	short := strings.TrimPrefix(name, streamsPrefix)
	if findProperty(name) != nil || slices.Contains(tolerated, short) || slices.ContainsFunc(toleratedPrefixes, func(s string) bool { return strings.HasPrefix(short, s) }) {
		return nil
	}
	return unknownProperty(name, at)
}

func unknownProperty(name string, at types.Pos) error {
	e := types.Errorf(types.ErrStatement, at, "Unknown property: '%s'", name)
	names := slices.Clone(tolerated)
	for _, p := range properties {
		names = append(names, p.name, streamsPrefix+p.name)
	}
	e.Hint = "SHOW PROPERTIES lists them."
	if n := types.Nearest(name, names); n != "" {
		e.Hint = "Did you mean '" + n + "'?"
	}
	return e
}

// listProperties returns all properties with their values.
func (e *Engine) listProperties(s *Session) []PropertyInfo {
	set := e.settings(s)
	var out []PropertyInfo
	seen := map[string]bool{}
	for _, p := range properties {
		info := PropertyInfo{Name: p.name, Value: p.def, Default: p.def, Description: p.what}
		for _, name := range []string{p.name, streamsPrefix + p.name} {
			seen[name] = true
			if v, ok := set[name]; ok {
				info.Value = v
			}
			if _, ok := s.Properties[name]; ok {
				info.Overridden = true
			}
		}
		out = append(out, info)
	}
	for name, v := range set { // set, but of no meaning
		if _, overridden := s.Properties[name]; !seen[name] {
			out = append(out, PropertyInfo{Name: name, Value: v, Overridden: overridden})
		}
	}
	slices.SortFunc(out, func(a, b PropertyInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}
