package types

import "strings"

// A Namespace tells where in a record a column lives.
type Namespace uint8

// The namespaces of columns.
const (
	NamespaceValue   Namespace = iota
	NamespaceKey               // KEY of a stream, PRIMARY KEY of a table
	NamespaceHeaders           // HEADERS or HEADER('name')
)

// A Column of a stream or table.
type Column struct {
	// ID is given by the catalog when the source is created and never used
	// again within that source; state layouts and plans refer to it.
	// Zero in schemas that belong to no source.
	ID        int       `json:"id,omitempty"`
	Name      string    `json:"name"`
	Type      *Type     `json:"type"`
	Namespace Namespace `json:"in,omitempty"`
	// HeaderKey is the name in HEADER('name'); empty with NamespaceHeaders
	// means all headers, ARRAY<STRUCT<KEY STRING, VALUE BYTES>>.
	HeaderKey string `json:"headerKey,omitempty"`
}

// A Schema is an ordered list of columns: keys first, then values and headers
// in the order of their declaration.
type Schema struct {
	Columns []Column `json:"columns"`
}

// Find returns the position of the named column, or -1.
func (s Schema) Find(name string) int {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// Keys returns the key columns in order.
func (s Schema) Keys() []Column { return s.in(NamespaceKey) }

// Values returns the value columns in order.
func (s Schema) Values() []Column { return s.in(NamespaceValue) }

func (s Schema) in(ns Namespace) []Column {
	var out []Column
	for _, c := range s.Columns {
		if c.Namespace == ns {
			out = append(out, c)
		}
	}
	return out
}

// Equal reports whether both schemas have the same names, types and
// namespaces in the same order; column ids are not compared.
func (s Schema) Equal(o Schema) bool {
	if len(s.Columns) != len(o.Columns) {
		return false
	}
	for i, c := range s.Columns {
		d := o.Columns[i]
		if c.Name != d.Name || c.Namespace != d.Namespace || c.HeaderKey != d.HeaderKey || !c.Type.Equal(d.Type) {
			return false
		}
	}
	return true
}

// String returns the schema as ksqlDB prints it:
// `K` STRING KEY, `V` INTEGER, `H` ARRAY<…> HEADERS.
func (s Schema) String() string {
	var sb strings.Builder
	for i, c := range s.Columns {
		if i > 0 {
			sb.WriteString(", ")
		}
		sb.WriteString(QuoteAlways(c.Name))
		sb.WriteByte(' ')
		sb.WriteString(c.Type.String())
		switch c.Namespace {
		case NamespaceKey:
			sb.WriteString(" KEY")
		case NamespaceHeaders:
			if c.HeaderKey == "" {
				sb.WriteString(" HEADERS")
			} else {
				sb.WriteString(" HEADER(" + QuoteString(c.HeaderKey) + ")")
			}
		}
	}
	return sb.String()
}
