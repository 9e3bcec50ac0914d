package format

// A nesting is how deep and how far the types of a schema have been followed.
// Both are bounded: a type that holds itself, or that holds others several times
// over, has no end or a far one.
type nesting struct{ depth, seen int }

const (
	maxSchemaDepth = 50
	maxSchemaTypes = 10_000
)

// enter is called for each type, leave when it is done.
func (n *nesting) enter(path string) error {
	n.depth++
	n.seen++
	switch {
	case n.depth > maxSchemaDepth:
		return schemaFault("%s: a type that holds itself, or others more than %d deep, can't be a column", shorten(path), maxSchemaDepth)
	case n.seen > maxSchemaTypes:
		return schemaFault("%s: the schema stands for more than %d types", shorten(path), maxSchemaTypes)
	}
	return nil
}

func (n *nesting) leave() { n.depth-- }

// shorten cuts a path to a sensible length.
func shorten(path string) string {
	const most = 60
	if len(path) > most {
		return path[:most] + "…"
	}
	return path
}
