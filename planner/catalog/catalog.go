package catalog

import (
	"maps"
	"slices"
	"sort"

	"karst/planner/plan"
	"karst/sql/types"
)

// A Kind tells streams from tables.
type Kind string

// The kinds of sources.
const (
	Stream Kind = "STREAM"
	Table  Kind = "TABLE"
)

// Lower returns the kind in lower case, as it stands in messages.
func (k Kind) Lower() string {
	if k == Table {
		return "table"
	}
	return "stream"
}

// A Source is a stream or table: a topic with a schema.
type Source struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Schema's columns have ids that are never used again within the source,
	// also when it is replaced; NextColumnID is the next one.
	Schema       types.Schema `json:"schema"`
	NextColumnID int          `json:"nextColumnId"`

	Topic       string          `json:"topic"`
	KeyFormat   plan.Format     `json:"keyFormat"`
	ValueFormat plan.Format     `json:"valueFormat"`
	Timestamp   *plan.Timestamp `json:"timestamp,omitempty"`
	Window      *plan.Window    `json:"window,omitempty"` // of a windowed key

	// ReadOnly: made by CREATE SOURCE; nothing is inserted into it and its
	// topic is not deleted with it.
	ReadOnly bool `json:"readOnly,omitempty"`
	// CreatedBy is the query of a CREATE … AS SELECT (of a CREATE SOURCE
	// TABLE: the one that materializes it), "" of others.
	CreatedBy string `json:"createdBy,omitempty"`
	SQL       string `json:"sql"` // the statement, for display
	// Version is the command offset at which this definition was made.
	Version int64 `json:"version"`
}

// IsTable reports whether s is a table.
func (s *Source) IsTable() bool { return s.Kind == Table }

// QueryState tells whether a persistent query is to run.
type QueryState string

// The states of queries that the catalog knows. That a query has failed is
// known to the engine alone.
const (
	Running QueryState = "RUNNING"
	Paused  QueryState = "PAUSED"
)

// A Query is a persistent query.
type Query struct {
	ID      string     `json:"id"`
	Plan    *plan.Plan `json:"plan"`
	Sink    string     `json:"sink,omitempty"` // "" if it only materializes a source table
	Sources []string   `json:"sources"`        // what it reads, by name, sorted
	SQL     string     `json:"sql"`            // the statement, for display
	State   QueryState `json:"state"`
}

// A Catalog is an immutable snapshot of everything that has been defined; the
// nil Catalog is empty.
type Catalog struct {
	sources map[string]*Source
	queries map[string]*Query
	types   map[string]*types.Type
}

// New returns an empty catalog.
func New() *Catalog {
	return &Catalog{sources: map[string]*Source{}, queries: map[string]*Query{}, types: map[string]*types.Type{}}
}

func (c *Catalog) clone() *Catalog {
	return &Catalog{sources: maps.Clone(c.sources), queries: maps.Clone(c.queries), types: maps.Clone(c.types)}
}

// Source returns the stream or table of that name.
func (c *Catalog) Source(name string) (*Source, bool) {
	s, ok := c.sources[name]
	return s, ok
}

// Query returns the query of that id.
func (c *Catalog) Query(id string) (*Query, bool) {
	q, ok := c.queries[id]
	return q, ok
}

// Type returns the custom type of that name.
func (c *Catalog) Type(name string) (*types.Type, bool) {
	t, ok := c.types[name]
	return t, ok
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// SourceNames returns the names of all streams and tables, sorted.
func (c *Catalog) SourceNames() []string { return sorted(c.sources) }

// QueryIDs returns the ids of all queries, sorted.
func (c *Catalog) QueryIDs() []string { return sorted(c.queries) }

// TypeNames returns the names of all custom types, sorted.
func (c *Catalog) TypeNames() []string { return sorted(c.types) }

// Readers returns the ids of the queries that read the source, sorted.
func (c *Catalog) Readers(source string) []string {
	return c.queriesWhere(func(q *Query) bool { return slices.Contains(q.Sources, source) })
}

// Writers returns the ids of the queries that write the source, sorted.
func (c *Catalog) Writers(source string) []string {
	return c.queriesWhere(func(q *Query) bool { return q.Sink == source })
}

func (c *Catalog) queriesWhere(match func(*Query) bool) []string {
	var out []string
	for id, q := range c.queries {
		if match(q) {
			out = append(out, id)
		}
	}
	sort.Strings(out)
	return out
}

// TopicWriters returns the ids of the queries that write the topic, sorted.
func (c *Catalog) TopicWriters(topic string) []string {
	return c.queriesWhere(func(q *Query) bool {
		s := c.sources[q.Sink]
		return s != nil && s.Topic == topic
	})
}

// DerivedFrom returns the names of the sources that queries fill from the
// given one, sorted.
func (c *Catalog) DerivedFrom(source string) []string {
	var out []string
	for _, id := range c.Readers(source) {
		if sink := c.queries[id].Sink; sink != "" && sink != source && !slices.Contains(out, sink) {
			out = append(out, sink)
		}
	}
	sort.Strings(out)
	return out
}
