package script

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"karst/sql/format"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// queryProto sends a query to /query-stream, asking for protobuf, and keeps
// its rows as the text of the messages.
func (r *restRun) queryProto(text string) error {
	resp, err := r.post("/query-stream", "sql", text, "application/vnd.ksql.v1+protobuf")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return r.failed(resp)
	}
	rows, err := r.readRows(resp.Body, false)
	if err != nil {
		return fmt.Errorf("%s as protobuf: %w", text, err)
	}
	var message protoreflect.MessageDescriptor
	for i, row := range rows {
		m, _ := row.(map[string]any)
		if head, ok := m["header"].(map[string]any); ok {
			schema, _ := head["protoSchema"].(string)
			if message, err = parseMessage(r.ctx, schema); err != nil {
				return fmt.Errorf("%s: the schema of its rows: %w", text, err)
			}
		}
		if fields, ok := m["row"].(map[string]any); ok {
			if rows[i], err = messageRow(message, fields); err != nil {
				return fmt.Errorf("%s: row %d: %w", text, i, err)
			}
		}
	}
	r.got = append(r.got, restAnswer{"queryProto", rows})
	return nil
}

// parseMessage returns the first message of a .proto text.
func parseMessage(ctx context.Context, schema string) (protoreflect.MessageDescriptor, error) {
	files := map[string]string{"rows.proto": schema}
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(files)})}
	out, err := c.Compile(ctx, "rows.proto")
	if err != nil {
		return nil, err
	}
	if out[0].Messages().Len() == 0 {
		return nil, fmt.Errorf("there is no message in %q", schema)
	}
	return out[0].Messages().Get(0), nil
}

func messageRow(md protoreflect.MessageDescriptor, fields map[string]any) (any, error) {
	text, _ := fields["protobufBytes"].(string)
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || md == nil {
		return nil, fmt.Errorf("no message: %v, %w", fields, err)
	}
	m := dynamicpb.NewMessage(md)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, err
	}
	return map[string]any{"row": messageText(m, "")}, nil
}

// messageText is a message in protobuf's text format, as Java writes it.
func messageText(m protoreflect.Message, indent string) string {
	var sb strings.Builder
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		v := m.Get(fd)
		switch {
		case fd.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, x protoreflect.Value) bool {
				fmt.Fprintf(&sb, "%s%s {\n%s%s%s}\n", indent, fd.Name(), fieldText(fd.MapKey(), k.Value(), indent+"  "), fieldText(fd.MapValue(), x, indent+"  "), indent)
				return true
			})
		case fd.IsList():
			for j := range v.List().Len() {
				sb.WriteString(fieldText(fd, v.List().Get(j), indent))
			}
		default:
			sb.WriteString(fieldText(fd, v, indent))
		}
	}
	return sb.String()
}

func fieldText(fd protoreflect.FieldDescriptor, v protoreflect.Value, indent string) string {
	name := indent + string(fd.Name())
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return name + " {\n" + messageText(v.Message(), indent+"  ") + indent + "}\n"
	case protoreflect.StringKind:
		return name + ": " + strconv.Quote(v.String()) + "\n"
	case protoreflect.BytesKind:
		return name + ": " + strconv.Quote(string(v.Bytes())) + "\n"
	case protoreflect.DoubleKind:
		return name + ": " + string(format.AppendDouble(nil, v.Float())) + "\n"
	}
	return name + ": " + v.String() + "\n"
}

// canonicalText brings the entries of maps, which have no order, into one.
func canonicalText(text string) string {
	var out []string
	var entries []string
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		if !strings.HasSuffix(lines[i], " {\n") {
			out, entries = append(append(out, sorted(entries)...), lines[i]), nil
			continue
		}
		end := slices.Index(lines[i:], lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " "))]+"}\n")
		if end < 0 {
			return text // not what it seems to be
		}
		block := strings.Join(lines[i:i+end+1], "")
		if !strings.HasPrefix(strings.TrimLeft(lines[i+1], " "), "key:") {
			out, entries = append(append(out, sorted(entries)...), block), nil
		} else {
			entries = append(entries, block)
		}
		i += end
	}
	return strings.Join(append(out, sorted(entries)...), "")
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
