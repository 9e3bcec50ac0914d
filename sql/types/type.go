package types

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind tells the family of a Type.
type Kind uint8

// The kinds of SQL types. The order is stable: plans and tests may rely on it.
const (
	KindInvalid Kind = iota
	KindBoolean
	KindInt     // 32-bit signed
	KindBigint  // 64-bit signed
	KindDouble  // IEEE 754 binary64
	KindDecimal // exact, precision 1..38
	KindString
	KindBytes
	KindDate      // days since 1970-01-01
	KindTime      // milliseconds of the day
	KindTimestamp // milliseconds since the epoch, UTC
	KindArray
	KindMap
	KindStruct
	KindNull     // the type of a bare NULL before coercion; never a column's type
	KindInterval // an interval unit (DAYS, HOURS…) as function argument; never a column's type
	KindLambda   // a lambda as function argument; never a column's type
)

// MaxDecimalPrecision is the largest precision of a DECIMAL.
const MaxDecimalPrecision = 38

// A Type is an immutable SQL type. Compare by Equal, not by pointer.
type Type struct {
	kind      Kind
	precision uint8
	scale     uint8
	key       *Type // of a map
	elem      *Type // of an array, or a map's value
	fields    []Field
}

// A Field is one named member of a STRUCT.
type Field struct {
	Name string // exact, as stored: upper case unless it was quoted
	Type *Type
}

// The types without parameters.
var (
	Boolean   = &Type{kind: KindBoolean}
	Int       = &Type{kind: KindInt}
	Bigint    = &Type{kind: KindBigint}
	Double    = &Type{kind: KindDouble}
	String    = &Type{kind: KindString}
	Bytes     = &Type{kind: KindBytes}
	Date      = &Type{kind: KindDate}
	Time      = &Type{kind: KindTime}
	Timestamp = &Type{kind: KindTimestamp}
	Null      = &Type{kind: KindNull}
	Interval  = &Type{kind: KindInterval}
	Lambda    = &Type{kind: KindLambda}
)

// Decimal returns DECIMAL(precision, scale). It fails unless
// 1 ≤ precision ≤ 38 and 0 ≤ scale ≤ precision.
func Decimal(precision, scale int) (*Type, error) {
	if precision < 1 || precision > MaxDecimalPrecision {
		return nil, fmt.Errorf("DECIMAL precision must be between 1 and %d: DECIMAL(%d, %d)", MaxDecimalPrecision, precision, scale)
	}
	if scale < 0 || scale > precision {
		return nil, fmt.Errorf("DECIMAL scale must be between 0 and the precision: DECIMAL(%d, %d)", precision, scale)
	}
	return &Type{kind: KindDecimal, precision: uint8(precision), scale: uint8(scale)}, nil
}

// MustDecimal is Decimal for arguments known to be right.
func MustDecimal(precision, scale int) *Type {
	t, err := Decimal(precision, scale)
	if err != nil {
		panic(err)
	}
	return t
}

// Array returns ARRAY<elem>.
func Array(elem *Type) *Type { return &Type{kind: KindArray, elem: elem} }

// Map returns MAP<key, value>.
func Map(key, value *Type) *Type { return &Type{kind: KindMap, key: key, elem: value} }

// Struct returns STRUCT<fields…>. It keeps the slice.
func Struct(fields ...Field) *Type { return &Type{kind: KindStruct, fields: fields} }

// Kind returns t's kind; of a nil Type it is KindInvalid.
func (t *Type) Kind() Kind {
	if t == nil {
		return KindInvalid
	}
	return t.kind
}

// Precision returns the precision of a DECIMAL.
func (t *Type) Precision() int { return int(t.precision) }

// Scale returns the scale of a DECIMAL.
func (t *Type) Scale() int { return int(t.scale) }

// Elem returns an array's element type or a map's value type.
func (t *Type) Elem() *Type { return t.elem }

// Key returns a map's key type.
func (t *Type) Key() *Type { return t.key }

// Fields returns a struct's fields; the caller must not change them.
func (t *Type) Fields() []Field { return t.fields }

// FieldIndex returns the position of the named struct field, or -1.
func (t *Type) FieldIndex(name string) int {
	for i := range t.fields {
		if t.fields[i].Name == name {
			return i
		}
	}
	return -1
}

// Equal reports whether the two types are the same in every parameter.
func (t *Type) Equal(u *Type) bool {
	if t == u {
		return true
	}
	if t == nil || u == nil || t.kind != u.kind || t.precision != u.precision || t.scale != u.scale || len(t.fields) != len(u.fields) {
		return false
	}
	switch t.kind {
	case KindArray:
		return t.elem.Equal(u.elem)
	case KindMap:
		return t.key.Equal(u.key) && t.elem.Equal(u.elem)
	case KindStruct:
		for i := range t.fields {
			if t.fields[i].Name != u.fields[i].Name || !t.fields[i].Type.Equal(u.fields[i].Type) {
				return false
			}
		}
	}
	return true
}

// IsNumeric reports whether t is INT, BIGINT, DOUBLE or DECIMAL.
func (t *Type) IsNumeric() bool {
	switch t.Kind() {
	case KindInt, KindBigint, KindDouble, KindDecimal:
		return true
	}
	return false
}

// IsNested reports whether t is ARRAY, MAP or STRUCT.
func (t *Type) IsNested() bool {
	switch t.Kind() {
	case KindArray, KindMap, KindStruct:
		return true
	}
	return false
}

var kindNames = [...]string{
	KindInvalid: "INVALID", KindBoolean: "BOOLEAN", KindInt: "INTEGER", KindBigint: "BIGINT", KindDouble: "DOUBLE",
	KindDecimal: "DECIMAL", KindString: "STRING", KindBytes: "BYTES", KindDate: "DATE", KindTime: "TIME",
	KindTimestamp: "TIMESTAMP", KindArray: "ARRAY", KindMap: "MAP", KindStruct: "STRUCT", KindNull: "NULL",
	KindInterval: "INTERVALUNIT", KindLambda: "LAMBDA",
}

// String returns the kind's SQL name.
func (k Kind) String() string { return kindNames[k] }

// String returns the type as ksqlDB prints it: INTEGER, DECIMAL(4, 2),
// ARRAY<STRING>, STRUCT<`A` INTEGER>. It parses back to an equal type.
func (t *Type) String() string {
	switch t.Kind() {
	case KindDecimal:
		return "DECIMAL(" + strconv.Itoa(int(t.precision)) + ", " + strconv.Itoa(int(t.scale)) + ")"
	case KindArray:
		return "ARRAY<" + t.elem.String() + ">"
	case KindMap:
		return "MAP<" + t.key.String() + ", " + t.elem.String() + ">"
	case KindStruct:
		var sb strings.Builder
		sb.WriteString("STRUCT<")
		for i, f := range t.fields {
			if i > 0 {
				sb.WriteString(", ")
			}
			sb.WriteString(QuoteAlways(f.Name))
			sb.WriteByte(' ')
			sb.WriteString(f.Type.String())
		}
		sb.WriteByte('>')
		return sb.String()
	}
	return t.Kind().String()
}
