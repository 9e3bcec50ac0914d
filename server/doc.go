// Package server is the HTTP API over an engine: one file an endpoint.
//
//	POST /ksql                  statements            ksql.go
//	POST /query                 a query, JSON array   query.go
//	POST /query-stream          a query, lines        query.go
//	GET  /info, /healthcheck                          info.go
//	POST, GET /topics/T/records NDJSON in and out     records.go
package server
