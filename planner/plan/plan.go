package plan

// FormatVersion is the version of the JSON form that this code writes. It
// reads all versions up to this one.
const FormatVersion = 1

// A Plan is one query, ready to run.
type Plan struct {
	Version int    `json:"version"`
	QueryID string `json:"queryId"`
	// Root is a *Sink, an *Output, or a materialized *Source alone (CREATE
	// SOURCE TABLE). JSON holds it as a list of steps in topological order.
	Root Step `json:"-"`
	// Topics are the source topics' partition counts that the plan was made
	// for.
	Topics map[string]int `json:"topics,omitempty"`
	// Every change of a table is emitted, not only the last one of each key
	// and commit (ksql.streams.cache.max.bytes.buffering = 0).
	EveryChange bool `json:"everyChange,omitempty"`
	// FromLatest: sources are read from their ends (auto.offset.reset =
	// latest), not from their beginnings.
	FromLatest bool `json:"fromLatest,omitempty"`
	// Settings are the session's properties that functions and operators ask
	// for, e.g. ksql.functions.collect_list.limit.
	Settings map[string]string `json:"settings,omitempty"`
}

// ChangelogTopic returns the name of the topic in which the query keeps its
// state, if it has any: for each key the last value, compacted.
func ChangelogTopic(queryID string) string { return ChangelogPrefix + queryID }

// ChangelogPrefix begins the names of all changelogs.
const ChangelogPrefix = "_karst_changelog_"

// Walk visits every step below and including s, inputs before the steps that
// read them.
func Walk(s Step, visit func(Step)) {
	for _, in := range s.Inputs() {
		Walk(in, visit)
	}
	visit(s)
}
