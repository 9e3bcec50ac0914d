package catalog

import (
	"fmt"
	"strings"

	"karst/sql/types"
)

// A Change is what one statement does to the catalog. Its parts are applied
// in the order of the fields.
type Change struct {
	Stop     []string   `json:"stop,omitempty"` // ids of queries that end
	Drop     string     `json:"drop,omitempty"` // source that goes away
	DropType string     `json:"dropType,omitempty"`
	PutType  *NamedType `json:"putType,omitempty"`
	// Put is a source that is made or, with Replace, takes the place of the
	// one of the same name.
	Put     *Source `json:"put,omitempty"`
	Replace bool    `json:"replace,omitempty"`
	// Start is a query that begins. With Replaces it goes on in the place of
	// the query of that id, which may be its own.
	Start    *Query            `json:"start,omitempty"`
	Replaces string            `json:"replaces,omitempty"`
	SetState []QueryTransition `json:"setState,omitempty"`
}

// A NamedType is a custom type.
type NamedType struct {
	Name string      `json:"name"`
	Type *types.Type `json:"type"`
}

// A QueryTransition is a query's new state.
type QueryTransition struct {
	ID    string     `json:"id"`
	State QueryState `json:"state"`
}

// Apply returns the catalog after the change; c stays as it is. The error, a
// *types.Error, says which reference stands in the way.
func (c *Catalog) Apply(ch *Change) (*Catalog, error) {
	next := c.clone()
	for _, id := range ch.Stop {
		if _, ok := next.queries[id]; !ok {
			return nil, notFound("query", id)
		}
		delete(next.queries, id)
	}
	if ch.Drop != "" {
		if err := next.drop(ch.Drop); err != nil {
			return nil, err
		}
	}
	if err := next.changeTypes(ch); err != nil {
		return nil, err
	}
	if ch.Put != nil {
		if err := next.put(ch.Put, ch.Replace); err != nil {
			return nil, err
		}
	}
	if ch.Start != nil {
		if err := next.start(ch.Start, ch.Replaces); err != nil {
			return nil, err
		}
	}
	return next, next.setStates(ch.SetState)
}

func notFound(what, name string) error {
	return types.Errorf(types.ErrNotFound, types.Pos{}, "There is no %s %s", what, name)
}

func (c *Catalog) drop(name string) error {
	s, ok := c.sources[name]
	if !ok {
		return notFound("stream or table", name)
	}
	if err := c.CheckDrop(s); err != nil {
		return err
	}
	delete(c.sources, name)
	return nil
}

// CheckDrop returns an error that names the queries that still read or write
// s, if any do.
func (c *Catalog) CheckDrop(s *Source) error {
	readers, writers := c.Readers(s.Name), c.Writers(s.Name)
	if len(readers) == 0 && len(writers) == 0 {
		return nil
	}
	var parts []string
	if len(readers) > 0 {
		parts = append(parts, "The following queries read from it: ["+strings.Join(readers, ", ")+"].")
	}
	if len(writers) > 0 {
		parts = append(parts, "The following queries write into it: ["+strings.Join(writers, ", ")+"].")
	}
	hint := "Terminate the queries before dropping " + s.Name + "."
	if derived := c.DerivedFrom(s.Name); len(derived) > 0 {
		hint = "Drop [" + strings.Join(derived, ", ") + "] or terminate the queries before dropping " + s.Name + "."
	}
	return &types.Error{Kind: types.ErrStatement, Message: fmt.Sprintf("Cannot drop %s. %s", s.Name, strings.Join(parts, " ")), Hint: hint}
}

func (c *Catalog) changeTypes(ch *Change) error {
	if ch.DropType != "" {
		if _, ok := c.types[ch.DropType]; !ok {
			return notFound("type", ch.DropType)
		}
		delete(c.types, ch.DropType)
	}
	if ch.PutType != nil {
		if _, ok := c.types[ch.PutType.Name]; ok {
			return types.Errorf(types.ErrExists, types.Pos{}, "A type %s exists already", ch.PutType.Name)
		}
		c.types[ch.PutType.Name] = ch.PutType.Type
	}
	return nil
}

func (c *Catalog) put(s *Source, replace bool) error {
	old, exists := c.sources[s.Name]
	switch {
	case exists && !replace:
		return types.Errorf(types.ErrExists, types.Pos{}, "A %s with the name %s exists already", old.Kind.Lower(), s.Name)
	case !exists && replace:
		return notFound("stream or table", s.Name)
	}
	c.sources[s.Name] = s
	return nil
}

func (c *Catalog) start(q *Query, replaces string) error {
	if replaces != "" {
		if _, ok := c.queries[replaces]; !ok {
			return notFound("query", replaces)
		}
		delete(c.queries, replaces)
	}
	if _, ok := c.queries[q.ID]; ok {
		return types.Errorf(types.ErrExists, types.Pos{}, "A query with the id %s exists already", q.ID)
	}
	for _, name := range q.Sources {
		if _, ok := c.sources[name]; !ok {
			return notFound("stream or table", name)
		}
	}
	if _, ok := c.sources[q.Sink]; !ok && q.Sink != "" {
		return notFound("stream or table", q.Sink)
	}
	c.queries[q.ID] = q
	return nil
}

func (c *Catalog) setStates(list []QueryTransition) error {
	for _, t := range list {
		q, ok := c.queries[t.ID]
		if !ok {
			return notFound("query", t.ID)
		}
		moved := *q
		moved.State = t.State
		c.queries[t.ID] = &moved
	}
	return nil
}
