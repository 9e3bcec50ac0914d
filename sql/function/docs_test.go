package function_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"karst/sql/function"
)

var rewrite = flag.Bool("rewrite", false, "write docs/functions.md anew")

// TestFunctionsDoc holds that docs/functions.md is what the library says.
func TestFunctionsDoc(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "functions.md")
	want := functionsDoc()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not up to date (%v): go test ./sql/function -run FunctionsDoc -rewrite", path, err)
	}
}

var kindNames = map[function.Kind]string{function.Scalar: "Scalar functions", function.Aggregate: "Aggregate functions", function.Table: "Table functions"}

func functionsDoc() string {
	var sb strings.Builder
	sb.WriteString("# Functions\n\nThis page is made from the library (`sql/function`); each example is a test. T, K, V, R and S stand for any type, `...` for any number\nof arguments. Unless it says otherwise a function of NULL is NULL.\n")
	for _, kind := range []function.Kind{function.Scalar, function.Aggregate, function.Table} {
		fmt.Fprintf(&sb, "\n## %s\n", kindNames[kind])
		for _, category := range categories(kind) {
			if kind == function.Scalar {
				fmt.Fprintf(&sb, "\n### %s\n", category)
			}
			for _, d := range function.Default().All() {
				if d.Kind == kind && d.Category == category {
					describe(&sb, d)
				}
			}
		}
	}
	return sb.String()
}

func categories(kind function.Kind) []function.Category {
	var out []function.Category
	for _, d := range function.Default().All() {
		if d.Kind == kind && !slices.Contains(out, d.Category) {
			out = append(out, d.Category)
		}
	}
	slices.Sort(out)
	return out
}

func describe(sb *strings.Builder, d *function.Def) {
	fmt.Fprintf(sb, "\n**%s** %s\n\n", d.Name, d.Description)
	if d.Kind == function.Aggregate && streamOnly(d) {
		sb.WriteString("Over streams only: it can't take rows back.\n\n")
	}
	said := map[string]bool{}
	for i := range d.Signatures {
		s := &d.Signatures[i]
		fmt.Fprintf(sb, "- `%s%s => %s`\n", d.Name, s, s.Result())
	}
	for i := range d.Signatures {
		for _, p := range d.Signatures[i].Params {
			if !said[p.Name] {
				said[p.Name] = true
				fmt.Fprintf(sb, "  - %s: %s\n", p.Name, p.Description)
			}
		}
	}
	for _, s := range d.Settings {
		fmt.Fprintf(sb, "- setting `%s` (%s): %s\n", s.Name, s.Default, s.Description)
	}
	sb.WriteString("\n")
	for _, e := range d.Examples {
		fmt.Fprintf(sb, "      %s → %s\n", e.Call, e.Want)
	}
	for _, e := range d.Groups {
		fmt.Fprintf(sb, "      %s over (%s) → %s\n", e.Call, strings.Join(e.Rows, "), ("), e.Want)
	}
}

func streamOnly(d *function.Def) bool {
	for i := range d.Signatures {
		if undo, err := d.Signatures[i].TakesBack(); err != nil || undo {
			return false
		}
	}
	return true
}

// TestDefsAreWhole holds that each function says what there is to say of it.
func TestDefsAreWhole(t *testing.T) {
	for _, d := range function.Default().All() {
		if d.Description == "" || d.Category == "" || len(d.Signatures) == 0 || len(d.Examples)+len(d.Groups) == 0 {
			t.Errorf("%s lacks a description, a category, a signature or an example", d.Name)
		}
		for i := range d.Signatures {
			s := &d.Signatures[i]
			if s.Result() == "" {
				t.Errorf("%s%s: the result's type can't be told", d.Name, s)
			}
			for _, p := range s.Params {
				if p.Description == "" {
					t.Errorf("%s: the glossary has nothing of %s", d.Name, p.Name)
				}
			}
		}
	}
}
