package sql

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"karst/sql/types"

	"github.com/cockroachdb/datadriven"
)

// TestData runs the files of testdata:
//
//	parse    the trees of a script's statements
//	expr     the tree of an expression
//	print    the statements in canonical form
//	places   each expression of the statements' queries with its place
//	split    the statements of a text that may be unfinished
//
// with the arguments vars=(name=value …). Errors are shown with their hints.
// Whatever parses is printed and parsed again on the way.
func TestData(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") {
			t.Skip()
		}
		datadriven.RunTest(t, path, runData)
	})
}

func runData(t *testing.T, d *datadriven.TestData) string {
	opts := Options{Variables: map[string]string{}}
	for _, arg := range d.CmdArgs {
		if arg.Key == "vars" {
			for _, v := range arg.Vals {
				name, value, _ := strings.Cut(v, "=")
				opts.Variables[name] = value
			}
		}
	}
	switch d.Cmd {
	case "expr":
		return runExpr(t, d.Input)
	case "split":
		return runSplit(d.Input)
	}
	stmts, err := Parse(d.Input, opts)
	if err != nil {
		return showErrors(err)
	}
	var sb strings.Builder
	for _, s := range stmts {
		checkRoundTrip(t, d.Pos, Print(s))
		switch d.Cmd {
		case "parse":
			dump(&sb, reflect.ValueOf(s), "")
		case "print":
			sb.WriteString(Print(s) + "\n")
		case "places":
			showPlaces(&sb, s)
		default:
			d.Fatalf(t, "unknown command")
		}
	}
	return sb.String()
}

func runExpr(t *testing.T, text string) string {
	e, err := ParseExpr(text)
	if err != nil {
		return showErrors(err)
	}
	printed := PrintExpr(e)
	if again, err := ParseExpr(printed); err != nil || !EqualExpr(e, again) {
		t.Errorf("%s prints as %s, which is another tree: %v", text, printed, err)
	}
	var sb strings.Builder
	dump(&sb, reflect.ValueOf(e), "")
	return printed + "\n" + sb.String()
}

func runSplit(text string) string {
	var sb strings.Builder
	stmts, rest := SplitStatements(text)
	for _, s := range stmts {
		fmt.Fprintf(&sb, "%d:%d %q\n", s.At.Line, s.At.Column, s.Text)
	}
	fmt.Fprintf(&sb, "rest %d:%d %q\n", rest.At.Line, rest.At.Column, rest.Text)
	return sb.String()
}

func showErrors(err error) string {
	var list types.Errors
	if !errors.As(err, &list) {
		return "NOT A LIST: " + err.Error() + "\n"
	}
	var sb strings.Builder
	for _, e := range list {
		if e.Kind != types.ErrParse {
			fmt.Fprintf(&sb, "kind %d: ", e.Kind)
		}
		sb.WriteString(strings.ReplaceAll(e.Error(), "\n", "\n  ") + "\n")
	}
	return sb.String()
}

// showPlaces writes each expression of a query with its place.
func showPlaces(sb *strings.Builder, s Statement) {
	var visit func(v reflect.Value)
	visit = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Interface:
			if !v.IsNil() {
				visit(v.Elem())
			}
		case reflect.Pointer:
			if v.IsNil() {
				return
			}
			if e, ok := v.Interface().(Expr); ok {
				fmt.Fprintf(sb, "%d:%d %s\n", e.Pos().Line, e.Pos().Column, PrintExpr(e))
			}
			visit(v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					visit(v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				visit(v.Index(i))
			}
		}
	}
	visit(reflect.ValueOf(s))
}

// dump writes a tree, one node a line, without places and zero fields.
func dump(sb *strings.Builder, v reflect.Value, indent string) {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		sb.WriteString(v.Type().Name())
		dumpFields(sb, v, indent+"  ")
	case reflect.Slice:
		sb.WriteString("\n")
		for i := range v.Len() {
			sb.WriteString(indent + "  - ")
			dump(sb, v.Index(i), indent+"    ")
		}
	case reflect.String:
		fmt.Fprintf(sb, "%q\n", v)
	default:
		fmt.Fprintf(sb, "%v\n", v)
	}
}

func dumpFields(sb *strings.Builder, v reflect.Value, indent string) {
	var parts strings.Builder
	for i := range v.NumField() {
		f, field := v.Field(i), v.Type().Field(i)
		if f.IsZero() || field.Type == posType || field.Type == stmtType || field.Name == "node" {
			continue
		}
		switch {
		case field.Type == reflect.TypeFor[TypeRef]():
			fmt.Fprintf(sb, " %s:%s", field.Name, f.Interface())
		case field.Type == reflect.TypeFor[Duration]():
			fmt.Fprintf(sb, " %s:%s", field.Name, f.Interface())
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.String:
			fmt.Fprintf(sb, " %s:%q", field.Name, f.Interface())
		case f.Kind() == reflect.Interface, f.Kind() == reflect.Slice, f.Kind() == reflect.Pointer:
			parts.WriteString(indent + field.Name + ": ")
			dump(&parts, f, indent)
		case f.Kind() == reflect.String:
			fmt.Fprintf(sb, " %s:%q", field.Name, f)
		default:
			fmt.Fprintf(sb, " %s:%v", field.Name, f)
		}
	}
	sb.WriteString("\n" + parts.String())
}
