// Package catalog is the metastore: which streams, tables, types and queries
// exist.
//
// A Catalog is an immutable snapshot. Statements make Changes; Apply folds a
// Change into a new snapshot and is pure, so that the same prefix of the
// command log gives the same catalog everywhere. Whether a change is allowed
// is checked twice: by the planner, which can point at the statement, and
// again by Apply, which never lets a reference dangle.
package catalog
