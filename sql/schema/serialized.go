package schema

import (
	"encoding/base64"
	"strings"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// serialized returns the file that a text holds as a base64 FileDescriptorProto,
// which is how some clients write a Protobuf schema; nil if it is a .proto text.
func serialized(text string) *descriptorpb.FileDescriptorProto {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil
	}
	file := &descriptorpb.FileDescriptorProto{}
	if proto.Unmarshal(raw, file) != nil || len(file.MessageType)+len(file.EnumType)+len(file.Extension) == 0 {
		return nil
	}
	nameFields(file.MessageType)
	return file
}

// nameFields gives each field the JSON name that it has by default, which the
// compiler wants and Python's descriptors lack.
func nameFields(list []*descriptorpb.DescriptorProto) {
	for _, m := range list {
		for _, f := range m.Field {
			if f.GetJsonName() == "" {
				f.JsonName = proto.String(jsonName(f.GetName()))
			}
		}
		nameFields(m.NestedType)
	}
}

// jsonName is a field's name in camel case.
func jsonName(name string) string {
	var b strings.Builder
	up := false
	for _, r := range name {
		switch {
		case r == '_':
			up = true
		case up:
			b.WriteString(strings.ToUpper(string(r)))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Source returns a Protobuf schema as a .proto text, whichever way it is
// written.
func Source(text string, imports [][2]string) (string, error) {
	if serialized(text) == nil {
		return text, nil
	}
	file, err := Protobuf(text, imports)
	if err != nil {
		return "", err
	}
	p := protoprint.Printer{Compact: true}
	return p.PrintProtoToString(file)
}

// Serialized returns a Protobuf schema as a base64 FileDescriptorProto.
func Serialized(text string, imports [][2]string) (string, error) {
	file, err := Protobuf(text, imports)
	if err != nil {
		return "", err
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(protodesc.ToFileDescriptorProto(file))
	return base64.StdEncoding.EncodeToString(raw), err
}
