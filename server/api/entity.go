package api

import "encoding/json"

// An Entity is the answer to one statement of POST /ksql, with the fields and
// values of ksqlDB's. Type says which of the fields it has.
type Entity struct {
	Type      string    `json:"@type"`
	Statement string    `json:"statementText"`
	Warnings  []Warning `json:"warnings"`

	// Of "currentStatus".
	CommandID *string        `json:"commandId,omitzero"`
	Status    *CommandStatus `json:"commandStatus,omitzero"`
	Sequence  *int64         `json:"commandSequenceNumber,omitzero"`

	// Of "streams", "tables", "kafka_topics", "kafka_topics_extended",
	// "queries", "properties", "function_names", "type_list", "variables".
	Streams               []SourceLine            `json:"streams,omitzero"`
	Tables                []SourceLine            `json:"tables,omitzero"`
	Topics                []TopicLine             `json:"topics,omitzero"`
	Queries               []QueryLine             `json:"queries,omitzero"`
	Properties            []Property              `json:"properties,omitzero"`
	OverwrittenProperties []string                `json:"overwrittenProperties,omitzero"`
	DefaultProperties     []string                `json:"defaultProperties,omitzero"`
	Functions             json.RawMessage         `json:"functions,omitzero"` // []FunctionLine or []Variation
	Types                 map[string]*FieldSchema `json:"types,omitzero"`
	Variables             []Variable              `json:"variables,omitzero"`

	// Of "sourceDescription", "source_descriptions", "queryDescription" and
	// "query_descriptions".
	Source       *SourceDescription  `json:"sourceDescription,omitzero"`
	Sources      []SourceDescription `json:"sourceDescriptions,omitzero"`
	Query        *QueryDescription   `json:"queryDescription,omitzero"`
	QueryDetails []QueryDescription  `json:"queryDescriptions,omitzero"`

	// Of "describe_function"; its variations are in Functions.
	Name        *string `json:"name,omitzero"`
	Description *string `json:"description,omitzero"`
	Author      *string `json:"author,omitzero"`
	Version     *string `json:"version,omitzero"`
	Path        *string `json:"path,omitzero"`
	Kind        *string `json:"type,omitzero"`

	// Of "assert_topic" and "assert_schema".
	TopicName *string `json:"topicName,omitzero"`
	Subject   *string `json:"subject,omitzero"`
	ID        *int64  `json:"id,omitzero"`
	Exists    *bool   `json:"exists,omitzero"`
}

// A Warning goes with an answer.
type Warning struct {
	Message string `json:"message"`
}

// A CommandStatus tells what came of a defining statement.
type CommandStatus struct {
	Status  string  `json:"status"`
	Message string  `json:"message"`
	QueryID *string `json:"queryId"`
}

// A SourceLine is one stream or table of a list.
type SourceLine struct {
	Type        string `json:"type"` // STREAM or TABLE
	Name        string `json:"name"`
	Topic       string `json:"topic"`
	KeyFormat   string `json:"keyFormat"`
	ValueFormat string `json:"valueFormat"`
	IsWindowed  bool   `json:"isWindowed"`
}

// A TopicLine is one topic of a list.
type TopicLine struct {
	Name string `json:"name"`
	// ReplicaInfo has the replicas of each partition.
	ReplicaInfo []int `json:"replicaInfo"`
	// Of SHOW TOPICS EXTENDED: the queries that read it.
	ConsumerCount      *int `json:"consumerCount,omitzero"`
	ConsumerGroupCount *int `json:"consumerGroupCount,omitzero"`
	// Records is Karst's own: how many it holds.
	Records int64 `json:"records"`
}

// A QueryLine is one query of a list.
type QueryLine struct {
	QueryString     string         `json:"queryString"`
	Sinks           []string       `json:"sinks"`
	SinkKafkaTopics []string       `json:"sinkKafkaTopics"`
	ID              string         `json:"id"`
	StatusCount     map[string]int `json:"statusCount"`
	QueryType       string         `json:"queryType"` // PERSISTENT or PUSH
	State           string         `json:"state"`
}

// A Property is one that can be set, and its value.
type Property struct {
	Name     string `json:"name"`
	Scope    string `json:"scope"`
	Value    string `json:"value"`
	Editable bool   `json:"editable"`
	Level    string `json:"level"` // SERVER or QUERY
	// Description is Karst's own.
	Description string `json:"description,omitempty"`
}

// A FunctionLine is one function of a list.
type FunctionLine struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // SCALAR, AGGREGATE or TABLE
	Category string `json:"category"`
}

// A Variation is one way to call a function.
type Variation struct {
	Arguments   []Argument `json:"arguments"`
	ReturnType  string     `json:"returnType"`
	Description string     `json:"description"`
}

// An Argument is a parameter of a Variation.
type Argument struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description"`
	IsVariadic  bool   `json:"isVariadic"`
}

// A Variable is one of the session.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A FieldSchema is a type. Of a STRUCT Fields, of an ARRAY or MAP
// MemberSchema is set, of a DECIMAL Parameters.
type FieldSchema struct {
	Type         string         `json:"type"`
	Parameters   map[string]int `json:"parameters,omitempty"`
	Fields       []Field        `json:"fields"`
	MemberSchema *FieldSchema   `json:"memberSchema"`
}

// A Field is a column, or a field of a STRUCT.
type Field struct {
	Name   string       `json:"name"`
	Schema *FieldSchema `json:"schema"`
	Type   string       `json:"type,omitempty"` // KEY or HEADER
	Header string       `json:"headerKey,omitempty"`
}

// A SourceDescription is what there is to know of a stream or table.
type SourceDescription struct {
	Name                 string          `json:"name"`
	WindowType           *string         `json:"windowType"`
	ReadQueries          []QueryLine     `json:"readQueries"`
	WriteQueries         []QueryLine     `json:"writeQueries"`
	Fields               []Field         `json:"fields"`
	Type                 string          `json:"type"`
	Timestamp            string          `json:"timestamp"`
	Statistics           string          `json:"statistics"`
	ErrorStats           string          `json:"errorStats"`
	Extended             bool            `json:"extended"`
	KeyFormat            string          `json:"keyFormat"`
	ValueFormat          string          `json:"valueFormat"`
	Topic                string          `json:"topic"`
	Partitions           int             `json:"partitions"`
	Replication          int             `json:"replication"`
	Statement            string          `json:"statement"`
	QueryOffsetSummaries []OffsetSummary `json:"queryOffsetSummaries"`
	SourceConstraints    []string        `json:"sourceConstraints"`
}

// An OffsetSummary tells how far a query has come in its topics.
type OffsetSummary struct {
	GroupID        string         `json:"groupId"`
	TopicSummaries []TopicOffsets `json:"topicSummaries"`
}

// TopicOffsets tell how far a query has come in a topic.
type TopicOffsets struct {
	KafkaTopic string   `json:"kafkaTopic"`
	Offsets    []Offset `json:"offsets"`
}

// An Offset tells how far a query has come in a partition.
type Offset struct {
	Partition      int32 `json:"partition"`
	LogStartOffset int64 `json:"logStartOffset"`
	LogEndOffset   int64 `json:"logEndOffset"`
	ConsumerOffset int64 `json:"consumerOffset"`
}

// A QueryDescription is what there is to know of a query.
type QueryDescription struct {
	ID              string            `json:"id"`
	StatementText   string            `json:"statementText"`
	WindowType      *string           `json:"windowType"`
	Fields          []Field           `json:"fields"`
	Sources         []string          `json:"sources"`
	Sinks           []string          `json:"sinks"`
	Topology        string            `json:"topology"`
	ExecutionPlan   string            `json:"executionPlan"`
	OverriddenProps map[string]string `json:"overriddenProperties"`
	HostQueryStatus map[string]string `json:"ksqlHostQueryStatus"`
	QueryType       string            `json:"queryType"`
	QueryErrors     []QueryError      `json:"queryErrors"`
	TasksMetadata   []struct{}        `json:"tasksMetadata"`
	State           string            `json:"state"`
	// Statistics and Faults are Karst's own.
	Statistics *Statistics `json:"statistics,omitzero"`
	Faults     []Fault     `json:"faults,omitzero"`
}

// A QueryError says why a query stopped.
type QueryError struct {
	Message string `json:"errorMessage"`
	Type    string `json:"type"` // SYSTEM, USER or UNKNOWN
}

// Statistics count what a query has done since the server's start.
type Statistics struct {
	RecordsRead    int64 `json:"recordsRead"`
	RecordsWritten int64 `json:"recordsWritten"`
	// Records of state that came from disk and from the changelog topic.
	StateLoaded   int64  `json:"stateLoaded"`
	StateReplayed int64  `json:"stateReplayed"`
	Changelog     string `json:"changelog,omitempty"`
}

// A Fault counts the records of a query that were not processed in full for
// one reason; the rest is of the last one. Offset is -1 where it is not known.
type Fault struct {
	Step      string `json:"step"`
	Reason    string `json:"reason"`
	Count     int64  `json:"count"`
	Message   string `json:"message"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}
