package registry

import (
	"fmt"
	"slices"
	"strings"

	"karst/sql/schema"

	"github.com/twmb/avro"
)

// The compatibility levels: what a new version must be able to do. BACKWARD:
// read what the last version wrote; FORWARD: be read by it; FULL: both; the
// transitive ones: with regard to all versions.
const (
	None               = "NONE"
	Backward           = "BACKWARD"
	BackwardTransitive = "BACKWARD_TRANSITIVE"
	Forward            = "FORWARD"
	ForwardTransitive  = "FORWARD_TRANSITIVE"
	Full               = "FULL"
	FullTransitive     = "FULL_TRANSITIVE"
)

var levels = []string{None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive}

// Compatible tells what keeps a schema from becoming a subject's next version,
// held against one version, or, if n is 0, against those that the subject's
// level names; nothing if it may.
func (r *Registry) Compatible(subject string, s Schema, n int) ([]string, error) {
	if err := s.tidy(); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	imports, err := r.resolve(&s)
	if err != nil {
		return nil, err
	}
	if err := validate(&s, imports); err != nil {
		return nil, err
	}
	if n == 0 {
		return r.incompatible(subject, &s, imports, r.versions(subject, false)), nil
	}
	v, err := r.version(subject, n, false)
	if err != nil {
		return nil, err
	}
	return r.incompatible(subject, &s, imports, []*Version{v}), nil
}

// incompatible holds a schema against the versions that the subject's level
// names and returns what is wrong.
func (r *Registry) incompatible(subject string, s *Schema, imports [][2]string, live []*Version) []string {
	level := cmpOr(cmpOr(r.levels[subject], r.levels[""]), Backward)
	if level == None || len(live) == 0 {
		return nil
	}
	if !strings.HasSuffix(level, "_TRANSITIVE") {
		live = live[len(live)-1:]
	}
	level = strings.TrimSuffix(level, "_TRANSITIVE")
	var out []string
	for _, v := range slices.Backward(live) {
		if v.Type != s.Type {
			return []string{fmt.Sprintf("version %d of the subject is of type %s, not %s", v.Version, v.Type, s.Type)}
		}
		old, err := r.resolve(&v.Schema)
		if err != nil {
			return []string{err.Error()}
		}
		is, was := parsedSchema{s, imports}, parsedSchema{&v.Schema, old}
		if level != Forward {
			out = append(out, prefixed(fmt.Sprintf("the new schema can't read what version %d wrote: ", v.Version), reads(is, was))...)
		}
		if level != Backward {
			out = append(out, prefixed(fmt.Sprintf("version %d can't read what the new schema writes: ", v.Version), reads(was, is))...)
		}
	}
	return out
}

func prefixed(prefix string, list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, prefix+s)
	}
	return out
}

// A parsedSchema is a schema with the texts that it refers to.
type parsedSchema struct {
	*Schema
	imports [][2]string
}

// reads tells why a reader's schema can't read what was written with a
// writer's; nothing if it can.
func reads(reader, writer parsedSchema) []string {
	switch reader.Type {
	case Avro:
		return readsAvro(reader, writer)
	case Protobuf:
		return readsProtobuf(reader, writer)
	}
	return readsJSON(reader, writer)
}

func readsAvro(reader, writer parsedSchema) []string {
	r, err := schema.Avro(reader.Text, reader.imports)
	if err != nil {
		return []string{err.Error()}
	}
	w, err := schema.Avro(writer.Text, writer.imports)
	if err != nil {
		return []string{err.Error()}
	}
	if err := avro.CheckCompatibility(w, r); err != nil {
		return []string{strings.TrimPrefix(err.Error(), "avro: ")}
	}
	return nil
}

func incompatibleError(subject string, faults []string) error {
	return errorf(CodeIncompatible, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: [%s]", subject, strings.Join(faults, "; "))
}
