package registry

import (
	"bytes"
	"encoding/json"
	"strings"

	"karst/sql/schema"
)

// tidy fills in the type and refuses what is no schema at all.
func (s *Schema) tidy() error {
	s.Type = strings.ToUpper(cmpOr(s.Type, Avro))
	switch {
	case s.Type != Avro && s.Type != Protobuf && s.Type != JSON:
		return errorf(CodeInvalidSchema, "Invalid schema type %s; AVRO, PROTOBUF and JSON are known", s.Type)
	case strings.TrimSpace(s.Text) == "":
		return errorf(CodeInvalidSchema, "Empty schema")
	case len(s.Text) > maxSchemaBytes:
		return errorf(CodeInvalidSchema, "a schema of %d bytes, at most %d are taken", len(s.Text), maxSchemaBytes)
	}
	return nil
}

// canonical is the text without what its layout adds.
func canonical(s *Schema) string {
	if s.Type == Protobuf {
		return strings.Join(strings.Fields(s.Text), " ")
	}
	var b bytes.Buffer
	if json.Compact(&b, []byte(s.Text)) != nil {
		return s.Text
	}
	return b.String()
}

// validate refuses a text that is not of its type, and turns a serialized
// Protobuf descriptor into a .proto text.
func validate(s *Schema, imports [][2]string) error {
	var err error
	switch s.Type {
	case Avro:
		_, err = schema.Avro(s.Text, imports)
	case Protobuf:
		if _, err = schema.Protobuf(s.Text, imports); err == nil {
			s.Text, err = schema.Source(s.Text, imports)
		}
	default:
		_, err = parseJSON(s.Text)
	}
	if err != nil {
		return errorf(CodeInvalidSchema, "Invalid schema of type %s: %v", s.Type, err)
	}
	return nil
}
