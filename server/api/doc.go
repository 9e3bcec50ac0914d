// Package api holds the requests and responses of the HTTP API, its error
// codes, and a client.
package api
