package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Messages that stand for SQL types which Protobuf does not have. Schemas may
// import these files without the registry holding them.
var standard = map[string]string{
	"confluent/meta.proto": `syntax = "proto3";
package confluent;
import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }
`,
	"confluent/type/decimal.proto": `syntax = "proto3";
package confluent.type;
import public "confluent/meta.proto";
message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }
`,
	"google/type/date.proto": `syntax = "proto3";
package google.type;
message Date { int32 year = 1; int32 month = 2; int32 day = 3; }
`,
	"google/type/timeofday.proto": `syntax = "proto3";
package google.type;
message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }
`,
}

// Protobuf compiles a .proto text; imports are the names and texts of the files
// that it imports.
func Protobuf(text string, imports [][2]string) (protoreflect.FileDescriptor, error) {
	const main = "schema.proto"
	files := map[string]string{}
	for name, text := range standard {
		files[name] = text
	}
	for _, imp := range imports {
		files[imp[0]] = imp[1]
	}
	files[main] = text
	find := protocompile.ResolverFunc(func(name string) (protocompile.SearchResult, error) {
		text, ok := files[name]
		if !ok {
			return protocompile.SearchResult{}, protoregistry.NotFound
		}
		if file := serialized(text); file != nil {
			file.Name = &name
			return protocompile.SearchResult{Proto: file}, nil
		}
		return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
	})
	c := protocompile.Compiler{MaxParallelism: 1, Resolver: protocompile.WithStandardImports(find)}
	out, err := c.Compile(context.Background(), main)
	if err != nil {
		return nil, fmt.Errorf("not a right Protobuf schema: %w", err)
	}
	if out[0].Messages().Len() == 0 {
		return nil, errors.New("the Protobuf schema has no message")
	}
	return out[0], nil
}
