// Package server is the HTTP API over an engine: one file an endpoint.
//
//	POST /ksql                  statements                     ksql.go, entity.go
//	POST /query, /query-stream  a query, PRINT                 query.go
//	POST /close-query           ends a push query              query.go
//	POST /inserts-stream        rows into a stream             inserts.go
//	GET  /info, /healthcheck, /clusterStatus, /status/…, /is_valid_property/…
//	                                                           info.go
//	POST, GET /topics/T/records NDJSON in and out              records.go
//	GET  /metrics               for Prometheus                 metrics.go
//
// The endpoints, their bodies and error codes are those of ksqlDB's public
// manual but for the last two, which are Karst's own. Who may ask at all is decided
// in guard.go. A client that stops reading is given up after a while
// (stream.go): its query runs in its request's goroutine and reads the log by
// itself, so that it holds up nobody else.
package server
