package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

// A Registry holds schemas, each under an id that records carry. Its methods
// take and give plain values, so that an implementation needs nothing of SQL.
type Registry interface {
	// Schema returns the schema with that id: its kind (AVRO, PROTOBUF or
	// JSON), its text, and the name and text of each schema that it refers to,
	// those that others need first. An error with a method NotFound() bool that
	// returns true says that there is none; any other that it can't be told now.
	Schema(id int) (kind, text string, imports [][2]string, err error)
	// Register returns the id of a schema under a subject, adding it as the
	// subject's latest version unless it is there already.
	Register(subject, kind, text string) (id int, err error)
}

// The kinds of schemas in a registry.
const (
	KindAvro     = "AVRO"
	KindProtobuf = "PROTOBUF"
	KindJSON     = "JSON"
)

// A Schema is a schema with what it refers to, as Registry.Schema returns it.
type Schema struct {
	Kind, Text string
	Imports    [][2]string // name and text, those that others need first
}

// SchemaKind returns the kind of schema that records of a format name by id;
// "" of formats that don't.
func SchemaKind(format string) string {
	switch format {
	case "AVRO":
		return KindAvro
	case "PROTOBUF":
		return KindProtobuf
	case "JSON_SR":
		return KindJSON
	}
	return ""
}

// Subject returns the subject of a topic's keys or values.
func Subject(topic string, key bool) string {
	if key {
		return topic + "-key"
	}
	return topic + "-value"
}

// lookup returns a registry's schema of the kind that the format needs.
func (o Options) lookup(id int) (*Schema, error) {
	if o.Registry == nil {
		return nil, fmt.Errorf("there is no schema registry to look up schema %d", id)
	}
	kind, text, imports, err := o.Registry.Schema(id)
	if err != nil {
		return nil, fmt.Errorf("looking up schema %d: %w", id, asked(err))
	}
	if want := SchemaKind(o.Name); kind != want {
		return nil, schemaFault("schema %d is of type %s, the format %s needs %s", id, kind, o.Name, want)
	}
	return &Schema{Kind: kind, Text: text, Imports: imports}, nil
}

// writerSchema returns the schema to write columns with and its id: the one
// that the options name, or one derived from the columns, which is registered.
func (o Options) writerSchema(cols []types.Column) (*Schema, int, error) {
	if o.SchemaID > 0 {
		s, err := o.lookup(o.SchemaID)
		return s, o.SchemaID, err
	}
	text, err := Derive(o, cols)
	if err != nil {
		return nil, 0, err
	}
	s := &Schema{Kind: SchemaKind(o.Name), Text: text}
	if o.Bare || s.Kind == "" {
		return s, 0, nil
	}
	if o.Registry == nil || o.Subject == "" {
		return nil, 0, fmt.Errorf("there is no schema registry to register a schema of format %s", o.Name)
	}
	id, err := o.Registry.Register(o.Subject, s.Kind, text)
	if err != nil {
		err = fmt.Errorf("registering the schema of %s: %w", o.Subject, asked(err))
	}
	return s, id, err
}

// ErrUnavailable says that a registry gave no answer: what asked for one is to
// be done again later.
var ErrUnavailable = errors.New("the schema registry does not answer")

// asked marks a registry's error that is no answer.
func asked(err error) error {
	var answer interface{ NotFound() bool }
	if errors.As(err, &answer) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func isGone(err error) bool {
	var answer interface{ NotFound() bool }
	return errors.As(err, &answer) && answer.NotFound()
}

// A lateEncoder stands for one whose schema could not be had when it was made.
type lateEncoder struct {
	make func() (Encoder, error)
	real Encoder
}

// orLate returns an encoder that asks the registry again, if that gave no
// answer.
func orLate(make func() (Encoder, error)) (Encoder, error) {
	e, err := make()
	if errors.Is(err, ErrUnavailable) {
		return &lateEncoder{make: make}, nil
	}
	return e, err
}

// Encode implements Encoder.
func (e *lateEncoder) Encode(cols []*vector.Vector, rows []int32, out *Cells) error {
	if e.real == nil {
		real, err := e.make()
		if err != nil {
			return err
		}
		e.real = real
	}
	return e.real.Encode(cols, rows, out)
}

// Derive returns the text of the schema that a format with a registry, or
// PROTOBUF_NOSR, writes columns with.
func Derive(o Options, cols []types.Column) (string, error) {
	switch o.Name {
	case "AVRO":
		return avroSchemaOf(o, cols)
	case "PROTOBUF", "PROTOBUF_NOSR":
		return protoSchemaOf(o, cols)
	case "JSON_SR":
		return jsonSchemaOf(o, cols), nil
	}
	return "", fmt.Errorf("the format %s has no schema", o.Name)
}

// Infer returns the columns that a schema stands for, names as they are in it.
// A value that is not an object is one column ROWVAL, a key ROWKEY.
func Infer(o Options, s *Schema) ([]types.Column, error) {
	switch s.Kind {
	case KindAvro:
		return avroColumns(o, s)
	case KindProtobuf:
		return protoColumns(o, s)
	case KindJSON:
		return jsonColumns(o, s)
	}
	return nil, schemaFault("unknown type of schema: %s", s.Kind)
}

// anonymous names the column of a value, or key, that has no fields of its own.
func (o Options) anonymous() string {
	if o.Key {
		return "ROWKEY"
	}
	return "ROWVAL"
}

// unwraps reports whether a schema's root is one column rather than several.
func (o Options) unwraps() bool {
	if o.WrapSingle != nil {
		return !*o.WrapSingle
	}
	return o.Key && o.Name != "PROTOBUF" && o.Name != "PROTOBUF_NOSR"
}

func schemaFault(format string, args ...any) error {
	return types.Errorf(types.ErrSerialization, types.Pos{}, format, args...)
}

// frameBytes is the length of what stands before a registry format's payload:
// a zero and the schema's id.
const frameBytes = 5

func appendFrame(buf []byte, id int) []byte {
	return binary.BigEndian.AppendUint32(append(buf, 0), uint32(id))
}

// readFrame returns the schema id of a record, -1 if it has none.
func readFrame(cell []byte) int {
	if len(cell) < frameBytes || cell[0] != 0 {
		return -1
	}
	return int(binary.BigEndian.Uint32(cell[1:]))
}

// A program decodes records written with one schema.
type program interface {
	// row appends one row, decoded from a record without its frame, to each
	// builder that is not nil; a reason says why it could not, and then the
	// builders may hold parts of the row.
	row(payload []byte) (reason, message string)
	// bind gives the builders of the batch, one a column.
	bind(builders []*vector.Builder)
}

// A framedDecoder decodes records that name their schema by id, with a program
// for each schema. It is of its own error: what the registry can't tell now is
// not the record's fault.
type framedDecoder struct {
	o        Options
	cols     []types.Column
	needed   []bool
	compile  func(s *Schema) (program, error)
	programs map[int]*boundProgram
	batch    int
	err      error
}

type boundProgram struct {
	program
	batch   int    // that it is bound to, or was asked for in
	message string // why there is none
	gone    bool   // the registry does not know the schema, yet
}

func newFramedDecoder(o Options, cols []types.Column, needed []bool, compile func(*Schema) (program, error)) *framedDecoder {
	return &framedDecoder{o: o, cols: cols, needed: needed, compile: compile, programs: map[int]*boundProgram{}}
}

// Err returns why the last Decode could not decode all records for want of the
// registry; the batch must be decoded again later.
func (d *framedDecoder) Err() error { return d.err }

// Decode implements Decoder.
func (d *framedDecoder) Decode(a *vector.Arena, in *Cells, n int, fail Fail) []*vector.Vector {
	d.batch++
	d.err = nil
	builders := newBuilders(a, d.cols, d.needed, n)
	for row := range n {
		cell := in.At(row)
		reason, message := "", ""
		switch id := readFrame(cell); {
		case cell == nil:
			nullRow(builders, row)
			continue
		case id < 0:
			reason, message = ReasonMalformed, "a record of format "+d.o.Name+" begins with a zero byte and a schema id, found "+brief(cell)
		default:
			reason, message = d.row(id, cell[frameBytes:], builders)
		}
		if reason != "" {
			fail(row, reason, message)
			nullRow(builders, row)
		}
	}
	return finish(builders)
}

func (d *framedDecoder) row(id int, payload []byte, builders []*vector.Builder) (reason, message string) {
	p := d.programs[id]
	if p == nil || p.gone && p.batch != d.batch { // once a batch
		if p = d.load(id); p == nil {
			return ReasonSchema, d.err.Error()
		}
	}
	if p.message != "" {
		return ReasonSchema, p.message
	}
	if p.batch != d.batch {
		p.bind(builders)
		p.batch = d.batch
	}
	return p.row(payload)
}

// load makes the program of a schema; nil if the registry can't tell it now.
func (d *framedDecoder) load(id int) *boundProgram {
	s, err := d.o.lookup(id)
	if errors.Is(err, ErrUnavailable) {
		d.err = err
		return nil
	}
	p := &boundProgram{gone: isGone(err)}
	if p.gone {
		p.batch = d.batch
	}
	if err == nil {
		p.program, err = d.compile(s)
	}
	if err != nil {
		p.message = err.Error()
	}
	d.programs[id] = p
	return p
}

// Err returns why a decoder could not decode its last batch, though nothing is
// wrong with the records: the batch must be decoded again later.
func Err(d Decoder) error {
	if f, ok := d.(interface{ Err() error }); ok {
		return f.Err()
	}
	return nil
}

func newBuilders(a *vector.Arena, cols []types.Column, needed []bool, n int) []*vector.Builder {
	out := make([]*vector.Builder, len(cols))
	for i, c := range cols {
		if needed[i] {
			out[i] = vector.NewBuilder(a, c.Type, n)
		}
	}
	return out
}

// nullRow makes row the builders' last row, and null, whatever they hold of it.
func nullRow(builders []*vector.Builder, row int) {
	for _, b := range builders {
		if b != nil {
			b.Truncate(row)
			b.Null()
		}
	}
}

func finish(builders []*vector.Builder) []*vector.Vector {
	out := make([]*vector.Vector, len(builders))
	for i, b := range builders {
		if b != nil {
			out[i] = b.Finish()
		}
	}
	return out
}

// matchFields says for each wanted name which of the given ones it is: the
// equal one, else one that is equal but for case; -1 if there is none. No given
// name stands for two.
func matchFields(want, given []string) []int {
	out := make([]int, len(want))
	taken := make([]bool, len(given))
	for pass, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		for i, w := range want {
			if pass == 0 {
				out[i] = -1
			}
			for j, g := range given {
				if out[i] < 0 && !taken[j] && same(w, g) {
					out[i], taken[j] = j, true
				}
			}
		}
	}
	return out
}

func columnNames(cols []types.Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.Name
	}
	return out
}
