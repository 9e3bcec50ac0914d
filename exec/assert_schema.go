package exec

import (
	"strconv"

	"karst/sql"
	"karst/sql/types"
)

// assertSchema holds the registry to having, or to not having, a subject, a
// schema's id, or a subject with a version of that id. It looks once.
func (e *Engine) assertSchema(x *sql.AssertSchema) (Answer, error) {
	if e.opts.Registry == nil {
		return nil, errNoRegistry
	}
	what, id := "", 0
	if x.Subject != "" {
		what = " subject name " + x.Subject
	}
	if x.ID != nil {
		if id = int(*x.ID); id < 1 {
			return nil, types.Errorf(types.ErrStatement, x.Pos(), "the id of a schema is a positive number, found %d", *x.ID)
		}
		if what != "" {
			what += " and"
		}
		what += " id " + strconv.Itoa(id)
	}
	if what == "" {
		return nil, types.Errorf(types.ErrStatement, x.Pos(), "ASSERT SCHEMA needs a SUBJECT or an ID")
	}
	has, err := e.opts.Registry.Has(x.Subject, id)
	switch {
	case err != nil:
		return nil, err
	case has && x.NotExists:
		return nil, unmet(x.Pos(), "Schema with%s exists", what)
	case !has && !x.NotExists:
		return nil, unmet(x.Pos(), "Schema with%s does not exist", what)
	}
	return Asserted{Subject: x.Subject, ID: x.ID, Exists: has}, nil
}
