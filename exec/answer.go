package exec

import (
	"karst/exec/operator"
	"karst/log"
	"karst/planner/catalog"
	"karst/sql/function"
	"karst/sql/types"
)

// A Result is what came of one statement.
type Result struct {
	Statement string // its text
	// Answer is nil where there is nothing to say: of INSERT, SET and DEFINE.
	Answer Answer
}

// QueryID returns the id of the query that the statement began, "" if none.
func (r Result) QueryID() string {
	done, _ := r.Answer.(Done)
	return done.QueryID
}

// An Answer is what a statement tells; the set is sealed.
type Answer interface{ answer() }

type (
	// A Done says that a statement has been carried out.
	Done struct {
		Message string
		QueryID string // of the query that it began, "" if none
		// Command names the statement in the command log, as ksqlDB does:
		// "stream/`S`/create"; "" if it is not in there.
		Command string
		Offset  int64 // in the command log
	}
	// Sources answers SHOW STREAMS and TABLES, and with Detail DESCRIBE of all
	// of them, or of one.
	Sources struct {
		Tables bool
		Detail bool
		One    bool
		List   []SourceInfo
	}
	// Topics answers SHOW TOPICS.
	Topics struct {
		Extended bool
		List     []TopicInfo
	}
	// Queries answers SHOW QUERIES.
	Queries struct {
		Extended bool
		List     []QueryInfo
	}
	// Explained answers EXPLAIN.
	Explained struct {
		Query QueryInfo
		Plan  string // as text
	}
	// Properties answers SHOW PROPERTIES.
	Properties struct{ List []PropertyInfo }
	// Functions answers SHOW FUNCTIONS, and DESCRIBE FUNCTION with One.
	Functions struct {
		One  bool
		List []*function.Def
	}
	// Types answers SHOW TYPES.
	Types struct {
		Names []string
		Types []*types.Type
	}
	// Variables answers SHOW VARIABLES, in the order of the names.
	Variables struct{ Names, Values []string }
	// Asserted says that what ASSERT TOPIC or SCHEMA asks is so.
	Asserted struct {
		Topic   string // else a schema
		Subject string
		ID      *int64
		Exists  bool
	}
)

func (Done) answer()       {}
func (Sources) answer()    {}
func (Topics) answer()     {}
func (Queries) answer()    {}
func (Explained) answer()  {}
func (Properties) answer() {}
func (Functions) answer()  {}
func (Types) answer()      {}
func (Variables) answer()  {}
func (Asserted) answer()   {}

// A SourceInfo is a stream or table and what there is to know of it.
type SourceInfo struct {
	*catalog.Source
	Partitions int
	Damage     []string // why partitions of the topic are offline, one text each
	// Readers and Writers are the queries that read and fill it, and Above the
	// sources that these fill.
	Readers, Writers []QueryInfo
	Above            []string
}

// A TopicInfo is a topic of the log.
type TopicInfo struct {
	log.Topic
	Damage  []string // why partitions are offline, one text each
	Records int64    // that it has now, in the others
	Readers int      // queries that read it
}

// A QueryInfo is a query that runs, or should.
type QueryInfo struct {
	ID, Text string
	Push     bool           // for a client; then Query is nil
	Query    *catalog.Query // of persistent queries
	Sink     *catalog.Source
	State    string // RUNNING, PAUSED or ERROR
	Error    string // why it stopped
	// Read and Written count records, Loaded and Replayed those of state that
	// came from disk and from the changelog; all since the start.
	Read, Written, Loaded, Replayed int64
	Changelog                       string // the topic that keeps its state, "" if none
	Faults                          []FaultCount
	Positions                       []PositionInfo
}

// A PositionInfo tells how far a query has come in a partition.
type PositionInfo struct {
	Partition  log.Partition
	Start, End int64 // of the partition
	Committed  int64
}

// A PropertyInfo is a property that can be set, and its value.
type PropertyInfo struct {
	Name, Value string
	Overridden  bool // by the session
	Default     string
	Description string
}

// A FaultCount tells how often records of one query were not processed in
// full for one reason, and what the last one was.
type FaultCount struct {
	Step, Reason string
	Count        int64
	Last         operator.Fault
}
