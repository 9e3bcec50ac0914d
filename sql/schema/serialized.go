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
	return file
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
