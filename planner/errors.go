package planner

import (
	"errors"

	"karst/sql/types"
)

// collect adds the user errors in err to list. It returns false for any other
// error.
func collect(list *types.Errors, err error) bool {
	var many types.Errors
	var one *types.Error
	switch {
	case err == nil:
	case errors.As(err, &many):
		*list = append(*list, many...)
	case errors.As(err, &one):
		*list = append(*list, one)
	default:
		return false
	}
	return true
}

// all returns the errors collected: nil, the only one, or the list.
func all(list types.Errors) error {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}
