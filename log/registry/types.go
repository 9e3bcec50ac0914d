package registry

import "fmt"

// The types of schemas.
const (
	Avro     = "AVRO"
	Protobuf = "PROTOBUF"
	JSON     = "JSON"
)

// A Reference is a schema that another one refers to by name.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// A Schema is a text of some type with what it refers to.
type Schema struct {
	Type       string // AVRO, PROTOBUF or JSON; "" is AVRO
	Text       string
	References []Reference
}

// A Version is a schema as a subject's version.
type Version struct {
	Schema
	Subject string
	Version int
	ID      int
	Deleted bool // softly: its id goes on being known
}

// Latest stands for a subject's last version.
const Latest = -1

// An Error is one that Confluent's REST API has a code for.
type Error struct {
	Code    int // its first three digits are the HTTP status
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// NotFound reports whether what was asked for does not exist.
func (e *Error) NotFound() bool { return e.Code/100 == 404 }

// The codes of errors.
const (
	CodeSubjectNotFound       = 40401
	CodeVersionNotFound       = 40402
	CodeSchemaNotFound        = 40403
	CodeSubjectSoftDeleted    = 40404
	CodeSubjectNotSoftDeleted = 40405
	CodeVersionSoftDeleted    = 40406
	CodeVersionNotSoftDeleted = 40407
	CodeLevelNotConfigured    = 40408
	CodeIncompatible          = 409
	CodeInvalidSchema         = 42201
	CodeInvalidVersion        = 42202
	CodeInvalidLevel          = 42203
	CodeInvalidMode           = 42204
	CodeOperationNotPermitted = 42205
	CodeReferenceExists       = 42206
	CodeInvalidSubject        = 42208
	CodeBackend               = 50001
)

func errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
