package format

import (
	"fmt"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

// Cells are the keys or the values of some records: row i's bytes are
// Buf[Off[i]:Off[i]+Len[i]], or null if Len[i] is -1.
type Cells struct {
	Buf []byte
	Off []int32
	Len []int32
}

var emptyCell = []byte{}

// At returns the bytes of row i, nil if null.
func (c *Cells) At(i int) []byte {
	switch {
	case c.Len[i] < 0:
		return nil
	case c.Len[i] == 0:
		return emptyCell // not nil, even if Buf is
	}
	return c.Buf[c.Off[i] : c.Off[i]+c.Len[i]]
}

// Reset empties c, keeping its memory.
func (c *Cells) Reset() { c.Buf, c.Off, c.Len = c.Buf[:0], c.Off[:0], c.Len[:0] }

// Null appends a null row.
func (c *Cells) Null() {
	c.Off, c.Len = append(c.Off, int32(len(c.Buf))), append(c.Len, -1)
}

// close ends the row whose bytes were appended to Buf from start on.
func (c *Cells) close(start int) {
	c.Off, c.Len = append(c.Off, int32(start)), append(c.Len, int32(len(c.Buf)-start))
}

// Reasons why a record can't be decoded, for counters.
const (
	ReasonMalformed    = "malformed"
	ReasonWrongType    = "wrong type"
	ReasonUnknownField = "unknown field" // the field is ignored, the record is kept
	ReasonSchema       = "schema"        // the record's schema is unknown or does not fit
)

// A Fail reports that row can't be decoded (or, for ReasonUnknownField, that
// something in it was ignored).
type Fail func(row int, reason, message string)

// A Decoder decodes batches. It is used by one goroutine at a time.
type Decoder interface {
	// Decode returns a vector of n rows for each column that is needed, nil
	// for the others. Null cells and rows that failed are null in all columns.
	Decode(a *vector.Arena, in *Cells, n int, fail Fail) []*vector.Vector
}

// An Encoder encodes batches. It is used by one goroutine at a time.
type Encoder interface {
	// Encode appends one row to out for each of rows.
	Encode(cols []*vector.Vector, rows []int32, out *Cells) error
}

// Options choose a format and its properties.
type Options struct {
	Name      string // one of Names
	Delimiter string // of DELIMITED; "" is a comma; also SPACE and TAB by name
	// WrapSingle tells whether a single column stands in an envelope; nil is
	// the default: values are wrapped, keys are not.
	WrapSingle *bool
	Key        bool
	// Known are names that a record may hold beside the columns without being
	// reported, such as a copy of its key.
	Known []string
	// Registry holds the schemas of AVRO, PROTOBUF and JSON_SR records.
	Registry Registry
	// Subject is where an encoder registers the schema that it derives from its
	// columns; SchemaID, if it is not 0, is the schema to write with instead.
	Subject  string
	SchemaID int
	// FullName is that of the AVRO record or PROTOBUF message; "" is ksqlDB's.
	FullName string
	// Nullable is how PROTOBUF tells null from a default: "" not at all,
	// OPTIONAL by fields that are, WRAPPER by google.protobuf's wrappers.
	Nullable string
	// Bare leaves out what stands before a record's own bytes, its schema id, so
	// that equal keys are equal bytes whatever schema they were written with.
	Bare bool
}

// Names lists the formats.
func Names() []string {
	return []string{"AVRO", "DELIMITED", "JSON", "JSON_SR", "KAFKA", "NONE", "PROTOBUF", "PROTOBUF_NOSR"}
}

// wrapped reports whether the columns stand in an envelope.
func (o Options) wrapped(cols []types.Column) bool {
	if len(cols) != 1 || o.Name == "PROTOBUF" || o.Name == "PROTOBUF_NOSR" {
		return true
	}
	if o.WrapSingle != nil {
		return *o.WrapSingle
	}
	return !o.Key
}

// Check reports whether the format can hold the columns, as a user's error
// that names the column and type.
func Check(o Options, cols []types.Column) error {
	switch o.Name {
	case "NONE":
		if len(cols) > 0 {
			return types.Errorf(types.ErrStatement, types.Pos{}, "The 'NONE' format can only be used when no columns are defined. Got: [%s]", columnList(cols))
		}
		return nil
	case "KAFKA":
		return checkKafka(o, cols)
	case "DELIMITED":
		return checkDelimited(o, cols)
	case "AVRO":
		return checkAvro(o, cols)
	case "PROTOBUF", "PROTOBUF_NOSR":
		return checkProto(o, cols)
	case "JSON", "JSON_SR":
		return checkMapKeys("JSON", cols)
	}
	return &types.Error{Kind: types.ErrStatement, Message: "Unknown format: " + o.Name, Hint: "Supported formats: " + strings.Join(Names(), ", ") + "."}
}

func columnList(cols []types.Column) string {
	var parts []string
	for _, c := range cols {
		parts = append(parts, types.QuoteAlways(c.Name)+" "+c.Type.String())
	}
	return strings.Join(parts, ", ")
}

// NewDecoder returns a decoder for columns of which those with needed set are
// decoded; a nil needed means all.
func NewDecoder(o Options, cols []types.Column, needed []bool) (Decoder, error) {
	if err := Check(o, cols); err != nil {
		return nil, err
	}
	if needed == nil {
		needed = make([]bool, len(cols))
		for i := range needed {
			needed[i] = true
		}
	}
	switch o.Name {
	case "JSON":
		return newJSONDecoder(o, cols, needed), nil
	case "DELIMITED":
		return newDelimitedDecoder(o, cols, needed)
	case "KAFKA":
		return &kafkaDecoder{cols: cols, needed: needed}, nil
	case "AVRO":
		return newAvroDecoder(o, cols, needed), nil
	case "PROTOBUF":
		return newProtoDecoder(o, cols, needed), nil
	case "PROTOBUF_NOSR":
		return newBareProtoDecoder(o, cols, needed)
	case "JSON_SR":
		return newJSONSchemaDecoder(o, cols, needed), nil
	}
	return noneCodec{}, nil
}

// NewEncoder returns an encoder for columns.
func NewEncoder(o Options, cols []types.Column) (Encoder, error) {
	if err := Check(o, cols); err != nil {
		return nil, err
	}
	switch o.Name {
	case "JSON":
		return newJSONEncoder(o, cols), nil
	case "DELIMITED":
		return newDelimitedEncoder(o, cols)
	case "KAFKA":
		return &kafkaEncoder{cols: cols}, nil
	case "AVRO":
		return orLate(func() (Encoder, error) { return newAvroEncoder(o, cols) })
	case "PROTOBUF", "PROTOBUF_NOSR":
		return orLate(func() (Encoder, error) { return newProtoEncoder(o, cols) })
	case "JSON_SR":
		return orLate(func() (Encoder, error) { return newJSONSchemaEncoder(o, cols) })
	}
	return noneCodec{}, nil
}

// noneCodec is the NONE format: no columns, no bytes.
type noneCodec struct{}

func (noneCodec) Decode(*vector.Arena, *Cells, int, Fail) []*vector.Vector { return nil }

func (noneCodec) Encode(_ []*vector.Vector, rows []int32, out *Cells) error {
	for range rows {
		out.Null()
	}
	return nil
}

// brief quotes data for a message, cut to a sensible length.
func brief(b []byte) string {
	const most = 60
	if len(b) > most {
		return fmt.Sprintf("%q…", b[:most])
	}
	return fmt.Sprintf("%q", b)
}
