package exec

import (
	"errors"
	"fmt"

	"karst/exec/operator"
	"karst/planner"
	"karst/planner/catalog"
	"karst/sql/format"
	"karst/sql/types"
)

// A Registry is a schema registry, as log/registry has them.
type Registry interface {
	format.Registry
	// Latest returns the id of a subject's last version; its error says
	// NotFound, as those of Schema do, if there is none.
	Latest(subject string) (id int, err error)
	// Reuse makes the schema with that id a version of a subject too.
	Reuse(subject string, id int) error
	// Has reports whether there is a subject ("": any) with a version (0: any)
	// that is the schema with that id.
	Has(subject string, id int) (bool, error)
	// Forget deletes a subject, softly, if it is there.
	Forget(subject string) error
}

// notFound reports whether a registry says that what was asked for does not
// exist.
func notFound(err error) bool {
	var e interface{ NotFound() bool }
	return errors.As(err, &e) && e.NotFound()
}

// schemas fetches the schemas that planning needs; those that do not exist are
// left out.
func (e *Engine) schemas(needs []planner.SchemaNeed) (map[planner.SchemaNeed]planner.Schema, error) {
	out := map[planner.SchemaNeed]planner.Schema{}
	for _, n := range needs {
		s, err := e.schema(n)
		switch {
		case notFound(err):
		case err != nil:
			return nil, err
		default:
			out[n] = s
		}
	}
	return out, nil
}

var errNoRegistry = errors.New("there is no schema registry")

func (e *Engine) schema(n planner.SchemaNeed) (planner.Schema, error) {
	r := e.opts.Registry
	if r == nil {
		return planner.Schema{}, errNoRegistry
	}
	id := n.ID
	if id == 0 {
		var err error
		if id, err = r.Latest(n.Subject); err != nil {
			return planner.Schema{}, fmt.Errorf("asking the schema registry for %s: %w", n.Subject, err)
		}
	}
	kind, text, imports, err := r.Schema(id)
	if err != nil {
		return planner.Schema{}, fmt.Errorf("asking the schema registry for schema %d: %w", id, err)
	}
	return planner.Schema{ID: id, Schema: format.Schema{Kind: kind, Text: text, Imports: imports}}, nil
}

// register registers the schemas that a statement writes with, and notes their
// ids in its plan. That a registry refuses one is the user's to mend.
func (e *Engine) register(list []planner.Registration) error {
	for _, x := range list {
		if e.opts.Registry == nil {
			return errNoRegistry
		}
		var err error
		id := x.ID
		if id != 0 {
			err = e.opts.Registry.Reuse(x.Subject, id)
		} else {
			id, err = e.opts.Registry.Register(x.Subject, x.Kind, x.Text)
		}
		if err != nil {
			return types.Errorf(types.ErrStatement, x.At, "Could not register schema for topic: %s, subject %s: %v", x.Topic, x.Subject, err)
		}
		for _, into := range x.Into {
			*into = id
		}
	}
	return nil
}

// forgetSchemas deletes the subjects of a topic that is deleted with its stream
// or table.
func (e *Engine) forgetSchemas(topic string) {
	if e.opts.Registry == nil {
		return
	}
	for _, key := range []bool{true, false} {
		subject := format.Subject(topic, key)
		if err := e.opts.Registry.Forget(subject); err != nil {
			e.opts.Logger.Warn("deleting a topic's schemas", "subject", subject, "error", err)
		}
	}
}

// formatOptions returns how a source's keys or values are read and written.
func (e *Engine) formatOptions(src *catalog.Source, key bool) format.Options {
	f := src.ValueFormat
	if key {
		f = src.KeyFormat
	}
	return operator.FormatOptions(f, key, src.Topic, e.opts.Registry)
}
