package types

import "fmt"

// A Pos is a place in the statement text as typed. Line and Column count from
// 1 and Column counts characters; the zero Pos means unknown.
type Pos struct {
	Line, Column int
}

// ErrorKind is the class of a user's error; it decides the API's error code.
type ErrorKind uint8

// The classes of user errors.
const (
	ErrParse         ErrorKind = iota + 1 // the text is not a statement
	ErrStatement                          // the statement can't be carried out as it stands
	ErrFunction                           // a function refused its arguments
	ErrSerialization                      // data could not be read or written in its format
	ErrNotFound                           // a named source, query, type or topic does not exist
	ErrExists                             // the name is taken
	ErrLimit                              // a configured limit was reached
	ErrUnsupported                        // parses, but is not supported yet
)

// An Error is a fault of the user's: it says what was found, where, and what
// to do. It never holds internal names or Go types.
type Error struct {
	Kind    ErrorKind
	Pos     Pos
	Message string // one sentence or more; names as the user wrote them
	Hint    string // what to do; may be empty
}

// Error implements error as "line L:C: message. hint".
func (e *Error) Error() string {
	s := e.Message
	if e.Pos.Line > 0 {
		s = fmt.Sprintf("line %d:%d: %s", e.Pos.Line, e.Pos.Column, s)
	}
	if e.Hint != "" {
		s += "\n" + e.Hint
	}
	return s
}

// Errorf returns an Error of the given class at pos.
func Errorf(kind ErrorKind, pos Pos, format string, args ...any) *Error {
	return &Error{Kind: kind, Pos: pos, Message: fmt.Sprintf(format, args...)}
}

// Errors is a list of user errors found in one statement, in source order.
type Errors []*Error

// Error implements error by the first error and the number of the others.
func (e Errors) Error() string {
	switch len(e) {
	case 0:
		return "no errors"
	case 1:
		return e[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", e[0].Error(), len(e)-1)
}

// Unwrap gives errors.As access to each.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}
