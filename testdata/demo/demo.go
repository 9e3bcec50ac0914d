// Package demo holds the demo's data and statements, so that the binary can
// give the tour anywhere. Origins and licences are in SOURCES.md.
package demo

import _ "embed"

// Flights is one JSON object a line; Airports is CSV with a header; Statements
// is SQL, each statement introduced by a comment.
var (
	//go:embed flights.ndjson
	Flights []byte
	//go:embed airports.csv
	Airports []byte
	//go:embed flights.sql
	Statements string
)
