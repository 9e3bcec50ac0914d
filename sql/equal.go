package sql

import (
	"reflect"

	"karst/sql/types"
)

// Equal reports whether two statements are the same but for positions and the
// text they come from.
func Equal(a, b Statement) bool { return equal(reflect.ValueOf(a), reflect.ValueOf(b)) }

// EqualExpr reports whether two expressions are the same but for positions.
func EqualExpr(a, b Expr) bool { return equal(reflect.ValueOf(a), reflect.ValueOf(b)) }

// What is not compared: where something stands.
var (
	posType  = reflect.TypeFor[types.Pos]()
	stmtType = reflect.TypeFor[stmt]()
)

func equal(a, b reflect.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Interface, reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return a.Elem().Type() == b.Elem().Type() && equal(a.Elem(), b.Elem())
	case reflect.Struct:
		return equalFields(a, b)
	case reflect.Slice:
		return equalElems(a, b)
	}
	return a.Equal(b)
}

func equalFields(a, b reflect.Value) bool {
	if a.Type() == posType || a.Type() == stmtType {
		return true
	}
	for i := range a.NumField() {
		if !equal(a.Field(i), b.Field(i)) {
			return false
		}
	}
	return true
}

func equalElems(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !equal(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}
