package registry

import (
	"fmt"

	"karst/sql/schema"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// readsProtobuf compares messages by name and fields by number: those that the
// reader does not have are skipped, those that the writer does not have are
// absent; what both have must look alike on the wire.
func readsProtobuf(reader, writer parsedSchema) []string {
	r, err := schema.Protobuf(reader.Text, reader.imports)
	if err != nil {
		return []string{err.Error()}
	}
	w, err := schema.Protobuf(writer.Text, writer.imports)
	if err != nil {
		return []string{err.Error()}
	}
	c := protoComparison{seen: map[[2]protoreflect.FullName]bool{}}
	c.messages(r.Messages(), w.Messages())
	return c.faults
}

type protoComparison struct {
	seen   map[[2]protoreflect.FullName]bool
	faults []string
}

func (c *protoComparison) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// messages holds each of the writer's messages against the reader's of that
// name.
func (c *protoComparison) messages(r, w protoreflect.MessageDescriptors) {
	for i := range w.Len() {
		m := w.Get(i)
		if m.IsMapEntry() {
			continue
		}
		to := r.ByName(m.Name())
		if to == nil {
			c.fault("the message %s is gone", m.FullName())
			continue
		}
		c.message(to, m)
		c.messages(to.Messages(), m.Messages())
	}
}

func (c *protoComparison) message(r, w protoreflect.MessageDescriptor) {
	pair := [2]protoreflect.FullName{r.FullName(), w.FullName()}
	if c.seen[pair] {
		return
	}
	c.seen[pair] = true
	for i := range w.Fields().Len() {
		f := w.Fields().Get(i)
		if g := r.Fields().ByNumber(f.Number()); g != nil {
			c.field(g, f)
		} else if f.Cardinality() == protoreflect.Required {
			c.fault("the required field %s is gone", f.FullName())
		} else if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() && r.Oneofs().ByName(o.Name()) != nil {
			c.fault("the field %s is gone from its oneof", f.FullName())
		}
	}
	for i := range r.Fields().Len() {
		if f := r.Fields().Get(i); f.Cardinality() == protoreflect.Required && w.Fields().ByNumber(f.Number()) == nil {
			c.fault("the required field %s is new", f.FullName())
		}
	}
	c.oneofs(r, w)
}

// oneofs: at most one field that was there moves into a oneof.
func (c *protoComparison) oneofs(r, w protoreflect.MessageDescriptor) {
	for i := range r.Oneofs().Len() {
		o := r.Oneofs().Get(i)
		if o.IsSynthetic() {
			continue
		}
		moved := 0
		for k := range o.Fields().Len() {
			f := w.Fields().ByNumber(o.Fields().Get(k).Number())
			if f == nil {
				continue
			}
			if was := f.ContainingOneof(); was == nil || was.IsSynthetic() || was.Name() != o.Name() {
				moved++
			}
		}
		if existed := w.Oneofs().ByName(o.Name()); moved > 1 || moved == 1 && existed != nil {
			c.fault("fields moved into the oneof %s", o.FullName())
		}
	}
}

func (c *protoComparison) field(r, w protoreflect.FieldDescriptor) {
	rk, wk := wireKind(r.Kind()), wireKind(w.Kind())
	switch {
	case rk != wk:
		c.fault("the field %s was %s and is %s", w.FullName(), w.Kind(), r.Kind())
		return
	case r.IsList() != w.IsList() && wk != "bytes" || r.IsMap() != w.IsMap():
		c.fault("the field %s was %s and is %s", w.FullName(), w.Cardinality(), r.Cardinality())
		return
	}
	if wk != "message" {
		return
	}
	if r.IsMap() {
		c.field(r.MapKey(), w.MapKey())
		c.field(r.MapValue(), w.MapValue())
		return
	}
	if r.Message().Name() != w.Message().Name() {
		c.fault("the field %s was a %s and is a %s", w.FullName(), w.Message().FullName(), r.Message().FullName())
		return
	}
	c.message(r.Message(), w.Message())
}

// wireKind groups the kinds that look alike on the wire.
func wireKind(k protoreflect.Kind) string {
	switch k {
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.BoolKind, protoreflect.EnumKind:
		return "varint"
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return "zigzag"
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return "fixed32"
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return "fixed64"
	case protoreflect.StringKind, protoreflect.BytesKind:
		return "bytes"
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return "message"
	}
	return k.String()
}
