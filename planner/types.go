package planner

import (
	"errors"

	"karst/planner/catalog"
	"karst/sql/types"
)

// A typeLookup finds custom types and remembers the one that it did not find.
type typeLookup struct {
	cat     *catalog.Catalog
	missing string
}

func (l *typeLookup) find(name string) (*types.Type, bool) {
	t, ok := l.cat.Type(name)
	if !ok && l.missing == "" {
		l.missing = name
	}
	return t, ok
}

// explain adds the nearest type's name to the error of one that is missing.
func (l *typeLookup) explain(err error) error {
	var e *types.Error
	if l.missing == "" || !errors.As(err, &e) {
		return err
	}
	names := []string{"BOOLEAN", "INT", "INTEGER", "BIGINT", "DOUBLE", "DECIMAL", "STRING", "VARCHAR", "BYTES", "DATE", "TIME", "TIMESTAMP", "ARRAY", "MAP", "STRUCT"}
	near := types.Nearest(l.missing, append(names, l.cat.TypeNames()...))
	if near == "" {
		return err
	}
	hinted := *e
	hinted.Hint = "Did you mean " + near + "? " + e.Hint
	return &hinted
}
