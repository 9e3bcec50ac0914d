package api

import "encoding/json"

// Error codes, as ksqlDB's: the HTTP status times 100 and a number.
const (
	CodeBadRequest   = 40000
	CodeBadStatement = 40001
	CodeNotFound     = 40400
	CodeServerError  = 50000
)

// An Error is the body of an answer that is not 200.
type Error struct {
	Type      string `json:"@type"`
	Code      int    `json:"error_code"`
	Message   string `json:"message"`
	Statement string `json:"statementText,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// A StatementRequest is the body of POST /ksql and POST /query.
type StatementRequest struct {
	Text       string                     `json:"ksql"`
	Properties map[string]json.RawMessage `json:"streamsProperties"`
	Variables  map[string]string          `json:"sessionVariables"`
}

// A StreamRequest is the body of POST /query-stream.
type StreamRequest struct {
	Text       string                     `json:"sql"`
	Properties map[string]json.RawMessage `json:"properties"`
	Variables  map[string]string          `json:"sessionVariables"`
}

// An Entity is the answer to one statement of POST /ksql.
type Entity struct {
	Type      string         `json:"@type"`
	Statement string         `json:"statementText"`
	Status    *CommandStatus `json:"commandStatus,omitempty"`
	QueryID   string         `json:"queryId,omitempty"`
	Message   string         `json:"message,omitempty"`
	// Columns and Rows are the answer as a table; List is the same as
	// objects, under the name ksqlDB gives it (see MarshalJSON).
	Columns []string   `json:"columns,omitempty"`
	Rows    [][]string `json:"rows,omitempty"`
}

// A CommandStatus tells what came of a defining statement.
type CommandStatus struct {
	Status  string `json:"status"`
	Message string `json:"message"`
	QueryID string `json:"queryId,omitempty"`
}

// MarshalJSON adds the rows as a list of objects under the entity's type, as
// ksqlDB's clients expect: {"@type": "streams", "streams": [{"name": …}]}.
func (e Entity) MarshalJSON() ([]byte, error) {
	type plain Entity
	text, err := json.Marshal(plain(e))
	if err != nil || len(e.Columns) == 0 {
		return text, err
	}
	list := make([]map[string]string, 0, len(e.Rows))
	for _, row := range e.Rows {
		m := map[string]string{}
		for i, c := range e.Columns {
			m[c] = row[i]
		}
		list = append(list, m)
	}
	extra, err := json.Marshal(map[string]any{e.Type: list})
	if err != nil {
		return nil, err
	}
	return append(append(text[:len(text)-1], ','), extra[1:]...), nil
}

// A Header begins the answer of POST /query-stream.
type Header struct {
	QueryID     string   `json:"queryId"`
	ColumnNames []string `json:"columnNames"`
	ColumnTypes []string `json:"columnTypes"`
}

// A Record is one line of POST and GET /topics/{name}/records. Bytes that are
// not UTF-8 go as base64 in the …Base64 field instead.
type Record struct {
	Key         *string `json:"key,omitempty"`
	KeyBase64   []byte  `json:"keyBase64,omitempty"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"valueBase64,omitempty"`
	Timestamp   *int64  `json:"timestamp,omitempty"` // ms; now if not given
	Partition   *int32  `json:"partition,omitempty"` // by the key if not given
	Offset      *int64  `json:"offset,omitempty"`    // in answers
	// KeyText asks for the key to be serialized from this text as the source
	// that is declared on the topic says.
	KeyText *string `json:"keyText,omitempty"`
}

// KeyBytes and ValueBytes return what the record holds, nil for null.
func (r *Record) KeyBytes() []byte   { return either(r.Key, r.KeyBase64) }
func (r *Record) ValueBytes() []byte { return either(r.Value, r.ValueBase64) }

func either(s *string, b []byte) []byte {
	if s != nil {
		return []byte(*s)
	}
	return b
}

// An Ack is one line of the answer to POST /topics/{name}/records.
type Ack struct {
	Acknowledged int64  `json:"acknowledged"` // records so far
	Error        string `json:"error,omitempty"`
}
