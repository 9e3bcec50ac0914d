package api

import "encoding/json"

// Error codes, as ksqlDB's: the HTTP status times 100 and a number.
const (
	CodeBadRequest    = 40000
	CodeBadStatement  = 40001
	CodeQueryEndpoint = 40002 // the statement belongs to a query endpoint
	CodeForbidden     = 40300
	CodeNotFound      = 40400
	CodeTooLarge      = 41300
	CodeTooMany       = 42900
	CodeServerError   = 50000
	CodeUnavailable   = 50300
)

// The types of errors: of a statement, which is in the error, and all others.
const (
	StatementError = "statement_error"
	GenericError   = "generic_error"
)

// An Error is the body of an answer that is not 200.
type Error struct {
	Type      string `json:"@type"`
	Code      int    `json:"error_code"`
	Message   string `json:"message"`
	Statement string `json:"statementText,omitempty"`
	// Entities are the answers to the statements before the one that failed.
	Entities []Entity `json:"entities,omitzero"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// A StatementRequest is the body of POST /ksql and POST /query.
type StatementRequest struct {
	Text       string                     `json:"ksql"`
	Properties map[string]json.RawMessage `json:"streamsProperties"`
	// RequestProperties are ksqlDB's own between servers; they have no effect.
	RequestProperties map[string]json.RawMessage `json:"requestProperties,omitempty"`
	// Variables' values may be strings, numbers or booleans.
	Variables map[string]json.RawMessage `json:"sessionVariables"`
	// Sequence asks that the commands up to this number have been executed.
	Sequence *int64 `json:"commandSequenceNumber,omitempty"`
}

// A StreamRequest is the body of POST /query-stream.
type StreamRequest struct {
	Text       string                     `json:"sql"`
	Properties map[string]json.RawMessage `json:"properties"`
	Variables  map[string]json.RawMessage `json:"sessionVariables"`
}

// A Header begins the answer of POST /query-stream.
type Header struct {
	QueryID     *string  `json:"queryId"` // of push queries
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
	Acknowledged int64  `json:"acknowledged"`      // records so far
	Dropped      int64  `json:"dropped,omitempty"` // records without a key, which the topic does not take
	Error        string `json:"error,omitempty"`
}
