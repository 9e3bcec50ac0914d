package format

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"karst/sql/schema"
	"karst/sql/types"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The full names of messages with a meaning of their own.
const (
	protoTimestamp = "google.protobuf.Timestamp"
	protoDate      = "google.type.Date"
	protoTime      = "google.type.TimeOfDay"
	protoDecimal   = "confluent.type.Decimal"
)

// protoWrappers are google.protobuf's messages that hold one scalar, which may
// be absent.
var protoWrappers = map[protoreflect.FullName]bool{
	"google.protobuf.DoubleValue": true, "google.protobuf.FloatValue": true, "google.protobuf.Int64Value": true, "google.protobuf.UInt64Value": true,
	"google.protobuf.Int32Value": true, "google.protobuf.UInt32Value": true, "google.protobuf.BoolValue": true, "google.protobuf.StringValue": true, "google.protobuf.BytesValue": true,
}

func checkProto(o Options, cols []types.Column) error {
	if err := checkMapKeys("PROTOBUF", cols); err != nil {
		return err
	}
	if len(cols) == 1 && o.WrapSingle != nil && !*o.WrapSingle {
		return types.Errorf(types.ErrStatement, types.Pos{}, "The format %s can't hold a value without a message around it", o.Name)
	}
	for _, c := range cols {
		if err := checkProtoType(c.Name, c.Type); err != nil {
			return err
		}
	}
	return nil
}

func checkProtoType(name string, t *types.Type) error {
	if !avroName(name) {
		return types.Errorf(types.ErrStatement, types.Pos{}, "Schema is not compatible with Protobuf: a field can't be called %s: names begin with a letter or _ and go on with letters, digits and _", types.QuoteAlways(name))
	}
	for inner := t; inner.Kind() == types.KindArray || inner.Kind() == types.KindMap; inner = inner.Elem() {
		if e := inner.Elem().Kind(); e == types.KindArray || e == types.KindMap {
			return types.Errorf(types.ErrStatement, types.Pos{}, "The PROTOBUF format does not support type '%s' within %s, column: %s. Put a STRUCT around it.", e, inner.Kind(), types.QuoteAlways(name))
		}
	}
	for t.Kind() == types.KindArray || t.Kind() == types.KindMap {
		t = t.Elem()
	}
	for _, f := range t.Fields() {
		if err := checkProtoType(f.Name, f.Type); err != nil {
			return err
		}
	}
	return nil
}

// checkMapKeys refuses maps whose keys are not strings, as what is called name.
func checkMapKeys(name string, cols []types.Column) error {
	var check func(t *types.Type) bool
	check = func(t *types.Type) bool {
		switch t.Kind() {
		case types.KindMap:
			return t.Key().Kind() == types.KindString && check(t.Elem())
		case types.KindArray:
			return check(t.Elem())
		}
		for _, f := range t.Fields() {
			if !check(f.Type) {
				return false
			}
		}
		return true
	}
	for _, c := range cols {
		if !check(c.Type) {
			return types.Errorf(types.ErrStatement, types.Pos{}, "%s only supports MAP types with STRING keys, column: %s %s", name, types.QuoteAlways(c.Name), c.Type)
		}
	}
	return nil
}

func checkAvro(o Options, cols []types.Column) error {
	if err := checkMapKeys("Avro", cols); err != nil {
		return err
	}
	if o.FullName != "" {
		for _, part := range strings.Split(o.FullName, ".") {
			if !avroName(part) {
				return types.Errorf(types.ErrStatement, types.Pos{}, "'%s' is not the full name of an Avro record", o.FullName)
			}
		}
	}
	_, err := avroSchemaOf(o, cols)
	return err
}

// protoSchemaOf derives the .proto text of columns as ksqlDB does.
func protoSchemaOf(o Options, cols []types.Column) (string, error) {
	fields := make([]types.Field, len(cols))
	for i, c := range cols {
		fields[i] = types.Field{Name: c.Name, Type: c.Type}
	}
	name, pkg := "ConnectDefault1", ""
	if o.FullName != "" {
		name = o.FullName
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			pkg, name = name[:i], name[i+1:]
		}
	}
	p := protoPrinter{nullable: o.Nullable, messages: 1}
	text := p.message(name, fields, "")
	out := "syntax = \"proto3\";\n"
	if pkg != "" {
		out += "package " + pkg + ";\n"
	}
	slices.Sort(p.imports)
	if p.imports = slices.Compact(p.imports); len(p.imports) > 0 {
		out += "\n"
	}
	for _, i := range p.imports {
		out += "import \"" + i + "\";\n"
	}
	return out + "\n" + text, nil
}

// A protoPrinter writes messages as ksqlDB names them: ConnectDefault and a
// number, in the order in which their fields are come upon.
type protoPrinter struct {
	nullable string
	messages int // so far, for their names
	imports  []string
}

// message returns a message's declaration, those within it at its end.
func (p *protoPrinter) message(name string, fields []types.Field, indent string) string {
	var b, inner strings.Builder
	fmt.Fprintf(&b, "%smessage %s {\n", indent, name)
	nested := func(suffix string, fields []types.Field) string {
		p.messages++
		name := "ConnectDefault" + strconv.Itoa(p.messages) + suffix
		inner.WriteString("\n" + p.message(name, fields, indent+"  "))
		return name
	}
	for i, f := range fields {
		fmt.Fprintf(&b, "%s  %s = %d%s;\n", indent, p.field(f, nested), i+1, p.options(f.Type, indent+"  "))
	}
	return b.String() + inner.String() + indent + "}\n"
}

// field returns a field's label, type and name; nested makes the message of a
// STRUCT or of a MAP's entries.
func (p *protoPrinter) field(f types.Field, nested func(suffix string, fields []types.Field) string) string {
	t := f.Type
	switch t.Kind() {
	case types.KindArray:
		return "repeated " + p.typeName(t.Elem(), false, nested) + " " + f.Name
	case types.KindMap:
		entry := nested("Entry", []types.Field{{Name: "key", Type: t.Key()}, {Name: "value", Type: t.Elem()}})
		return "repeated " + entry + " " + f.Name
	}
	name := p.typeName(t, p.nullable == "WRAPPER", nested)
	if p.nullable == "OPTIONAL" && t.Kind() != types.KindStruct {
		name = "optional " + name
	}
	return name + " " + f.Name
}

// options carries a decimal's precision and scale.
func (p *protoPrinter) options(t *types.Type, indent string) string {
	if t.Kind() == types.KindArray {
		t = t.Elem()
	}
	if t.Kind() != types.KindDecimal {
		return ""
	}
	p.imports = append(p.imports, "confluent/meta.proto")
	var b strings.Builder
	b.WriteString(" [(confluent.field_meta) = {\n" + indent + "  params: [\n")
	for i, x := range []struct {
		key   string
		value int
	}{{"precision", t.Precision()}, {"scale", t.Scale()}} {
		fmt.Fprintf(&b, "%s    {\n%s      value: \"%d\",\n%s      key: %q\n%s    }", indent, indent, x.value, indent, x.key, indent)
		if i == 0 {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	b.WriteString(indent + "  ]\n" + indent + "}]")
	return b.String()
}

func (p *protoPrinter) typeName(t *types.Type, wrapper bool, nested func(string, []types.Field) string) string {
	scalar := func(name, wrapped string) string {
		if !wrapper {
			return name
		}
		p.imports = append(p.imports, "google/protobuf/wrappers.proto")
		return "google.protobuf." + wrapped
	}
	known := func(name, file string) string {
		p.imports = append(p.imports, file)
		return name
	}
	switch t.Kind() {
	case types.KindBoolean:
		return scalar("bool", "BoolValue")
	case types.KindInt:
		return scalar("int32", "Int32Value")
	case types.KindBigint:
		return scalar("int64", "Int64Value")
	case types.KindDouble:
		return scalar("double", "DoubleValue")
	case types.KindString:
		return scalar("string", "StringValue")
	case types.KindBytes:
		return scalar("bytes", "BytesValue")
	case types.KindDecimal:
		return known(protoDecimal, "confluent/type/decimal.proto")
	case types.KindDate:
		return known(protoDate, "google/type/date.proto")
	case types.KindTime:
		return known(protoTime, "google/type/timeofday.proto")
	case types.KindTimestamp:
		return known(protoTimestamp, "google/protobuf/timestamp.proto")
	}
	return nested("", t.Fields())
}

// parseProto compiles a schema and what it imports.
func parseProto(s *Schema) (protoreflect.FileDescriptor, error) {
	file, err := schema.Protobuf(s.Text, s.Imports)
	if err != nil {
		return nil, schemaFault("%v", err)
	}
	return file, nil
}

// protoMessageOf returns the message that the options name, the first if they
// name none, with its place: the index of each message around it and its own.
func protoMessageOf(o Options, file protoreflect.FileDescriptor) (protoreflect.MessageDescriptor, []int, error) {
	if o.FullName == "" {
		return file.Messages().Get(0), []int{0}, nil
	}
	var names []string
	var find func(list protoreflect.MessageDescriptors, at []int) (protoreflect.MessageDescriptor, []int)
	find = func(list protoreflect.MessageDescriptors, at []int) (protoreflect.MessageDescriptor, []int) {
		for i := range list.Len() {
			m := list.Get(i)
			names = append(names, string(m.FullName()))
			here := append(slices.Clone(at), i)
			if string(m.FullName()) == o.FullName {
				return m, here
			}
			if in, place := find(m.Messages(), here); in != nil {
				return in, place
			}
		}
		return nil, nil
	}
	m, at := find(file.Messages(), nil)
	if m == nil {
		return nil, nil, schemaFault("the schema has no message %s; it has %s", o.FullName, strings.Join(names, ", "))
	}
	return m, at, nil
}

// protoColumns returns the columns of a schema's message.
func protoColumns(o Options, s *Schema) ([]types.Column, error) {
	file, err := parseProto(s)
	if err != nil {
		return nil, err
	}
	m, _, err := protoMessageOf(o, file)
	if err != nil {
		return nil, err
	}
	var out []types.Column
	n := &nesting{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		t, err := protoSQL(f, n)
		if err != nil {
			return nil, err
		}
		out = append(out, types.Column{Name: string(f.Name()), Type: t})
	}
	return out, nil
}

// protoSQL returns the SQL type of a field.
func protoSQL(f protoreflect.FieldDescriptor, n *nesting) (*types.Type, error) {
	if err := n.enter(string(f.FullName())); err != nil {
		return nil, err
	}
	defer n.leave()
	if f.IsMap() {
		key, err := protoSQL(f.MapKey(), n)
		if err != nil {
			return nil, err
		}
		elem, err := protoSQL(f.MapValue(), n)
		return types.Map(key, elem), err
	}
	t, err := protoSingle(f, n)
	if err != nil || !f.IsList() {
		return t, err
	}
	if m := f.Message(); m != nil && isEntry(m) && t.Kind() == types.KindStruct {
		return types.Map(t.Fields()[0].Type, t.Fields()[1].Type), nil
	}
	return types.Array(t), nil
}

// isEntry reports whether a message stands for a map's entry, as those do that
// are called so and have a key and a value.
func isEntry(m protoreflect.MessageDescriptor) bool {
	fs := m.Fields()
	return m.IsMapEntry() || strings.HasSuffix(string(m.Name()), "Entry") && fs.Len() == 2 && fs.Get(0).Name() == "key" && fs.Get(1).Name() == "value"
}

// protoSingle returns the SQL type of one of a field's values.
func protoSingle(f protoreflect.FieldDescriptor, n *nesting) (*types.Type, error) {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return types.Boolean, nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return types.Int, nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return types.Bigint, nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return types.Double, nil
	case protoreflect.StringKind, protoreflect.EnumKind:
		return types.String, nil
	case protoreflect.BytesKind:
		return types.Bytes, nil
	}
	m := f.Message()
	switch m.FullName() {
	case protoTimestamp:
		return types.Timestamp, nil
	case protoDate:
		return types.Date, nil
	case protoTime:
		return types.Time, nil
	case protoDecimal:
		return protoDecimalType(f)
	}
	if protoWrappers[m.FullName()] {
		return protoSingle(m.Fields().Get(0), n)
	}
	var fields []types.Field
	for i := range m.Fields().Len() {
		g := m.Fields().Get(i)
		t, err := protoSQL(g, n)
		if err != nil {
			return nil, err
		}
		fields = append(fields, types.Field{Name: string(g.Name()), Type: t})
	}
	return types.Struct(fields...), nil
}

// protoDecimalType reads a decimal's precision and scale from the field's
// metadata.
func protoDecimalType(f protoreflect.FieldDescriptor) (*types.Type, error) {
	precision, scale := types.MaxDecimalPrecision, 0
	params := protoParams(f)
	if n, err := strconv.Atoi(params["precision"]); err == nil {
		precision = min(n, precision)
	}
	if n, err := strconv.Atoi(params["scale"]); err == nil {
		scale = n
	}
	t, err := types.Decimal(precision, scale)
	if err != nil {
		err = schemaFault("%s: %v", f.FullName(), err)
	}
	return t, err
}

// protoParams returns the params of a field's confluent.field_meta.
func protoParams(f protoreflect.FieldDescriptor) map[string]string {
	out := map[string]string{}
	opts, ok := f.Options().(*descriptorpb.FieldOptions)
	if !ok || opts == nil {
		return out
	}
	opts.ProtoReflect().Range(func(x protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if x.FullName() != "confluent.field_meta" {
			return true
		}
		m := v.Message()
		params := m.Descriptor().Fields().ByName("params")
		if params == nil || !params.IsMap() {
			return false
		}
		m.Get(params).Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			out[k.String()] = v.String()
			return true
		})
		return false
	})
	return out
}
