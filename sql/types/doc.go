// Package types holds the SQL type system: types, schemas and identifiers.
//
// It is a leaf: everything else speaks in its terms and it knows of nothing
// else. All values are immutable after construction and safe for concurrent
// use.
package types
