package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// allowed says for each package of the module which others it may import; a
// name ending in / stands for the package itself and all below it.
var allowed = map[string][]string{
	"sql":             {"sql/types"},
	"sql/types":       {},
	"sql/schema":      {},
	"sql/vector":      {"sql/types"},
	"sql/function":    {"sql/"},
	"sql/expr":        {"sql/"},
	"sql/format":      {"sql/"},
	"planner":         {"planner/", "sql/"},
	"planner/catalog": {"planner/plan", "sql/"},
	"planner/plan":    {"sql/"},
	"log":             {},
	"log/segment":     {"log"},
	"log/kafka":       {"log"},
	"log/logtest":     {"log"},
	"log/registry":    {"log", "sql/schema"},
	"exec":            {"planner/", "sql/", "log", "exec/operator", "exec/window", "exec/state", "exec/task", "exec/pull"},
	"exec/operator":   {"planner/plan", "sql/", "exec/state", "exec/window"},
	"exec/window":     {"sql/types"},
	"exec/state":      {"sql/types", "sql/vector", "exec/window"},
	"exec/task":       {"exec/operator", "exec/state", "log", "planner/plan", "sql/"},
	"exec/pull":       {"exec/state", "exec/operator", "planner/plan", "sql/", "log"},
	"exec/script":     {"exec/", "server/", "sql/", "log/", "planner/catalog", "planner/plan"},
	"exec/exectest":   {"exec/", "planner/", "sql/", "log/", "server/"},
	"server":          {"exec/", "planner/", "sql/", "log", "log/registry", "server/"},
	"server/api":      {},
	"server/wire":     {"log"},
	"server/web":      {"server/api"},
	"shell":           {"sql/", "server/api"},
	"cmd/ksh":         {"testdata/demo", "cmd/", "exec/", "log/", "planner/", "server/", "shell/", "sql/"},

	"server/wire/wiretest": {"server/wire", "log/"},
}

// importedOnlyBy restricts who may import a package outside of tests.
var importedOnlyBy = map[string][]string{
	"exec/script":   {"cmd/"},
	"exec/exectest": {},
	"log/logtest":   {},

	"server/wire/wiretest": {},
}

// TestImportArrows holds the direction of imports that docs/ARCHITECTURE.md
// draws.
func TestImportArrows(t *testing.T) {
	eachGoFile(t, func(file, pkg string, imports []string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		rules, known := allowed[pkg]
		if !known && pkg != "." {
			t.Errorf("%s: package %s has no place in the architecture; add it to docs/ARCHITECTURE.md and to this test", file, pkg)
			return
		}
		for _, imp := range imports {
			if imp == "log" {
				t.Errorf("%s imports the standard library's log; use log/slog, handed in", file)
			}
			own, isOwn := strings.CutPrefix(imp, "karst/")
			if !isOwn {
				continue
			}
			if own != pkg && !matches(own, rules) {
				t.Errorf("%s: %s must not import %s", file, pkg, own)
			}
			if by, restricted := importedOnlyBy[own]; restricted && !matches(pkg, by) {
				t.Errorf("%s: only %v and tests may import %s", file, by, own)
			}
		}
	})
}

// TestWallClock holds that the engine's packages take time from the clock they
// are given.
func TestWallClock(t *testing.T) {
	eachGoFile(t, func(file, pkg string, _ []string) {
		if strings.HasSuffix(file, "_test.go") || !matches(pkg, []string{"sql/", "planner/", "exec/", "log/"}) {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, call := range []string{"time.Now(", "time.Sleep(", "time.After(", "time.NewTimer(", "time.NewTicker(", "time.AfterFunc("} {
				if strings.Contains(line, call) && !strings.Contains(line, "//") {
					t.Errorf("%s:%d reads the wall clock: %s", file, i+1, strings.TrimSpace(line))
				}
			}
		}
	})
}

// TestTopLevel holds the set of top-level names.
func TestTopLevel(t *testing.T) {
	want := " cmd sql planner exec log server shell testdata docs deploy connect go.mod go.sum README.md LICENSE CHANGELOG.md "
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !strings.Contains(want, " "+e.Name()+" ") && !ignored(e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

// TestArchitecturePaths holds that every path docs/ARCHITECTURE.md names in
// back quotes exists.
func TestArchitecturePaths(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, quoted := range strings.Split(string(text), "`") {
		if i%2 == 0 || !isPath(quoted) {
			continue
		}
		n++
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(quoted))); err != nil {
			t.Errorf("docs/ARCHITECTURE.md names %s, which does not exist", quoted)
		}
	}
	if n < 30 {
		t.Errorf("docs/ARCHITECTURE.md names only %d paths; its file map is missing", n)
	}
}

// TestDecisionNumbers holds that each decision in docs/adr has a number of its own,
// the same in its file's name and its title.
func TestDecisionNumbers(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "adr", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	by := map[int]string{}
	for _, f := range files {
		name := filepath.Base(f)
		digits, _, _ := strings.Cut(name, "-")
		n, err := strconv.Atoi(digits)
		if err != nil {
			t.Errorf("%s does not begin with a number", name)
			continue
		}
		if by[n] != "" {
			t.Errorf("%s and %s have the same number", by[n], name)
		}
		by[n] = name
		if text, err := os.ReadFile(f); err != nil || !strings.HasPrefix(string(text), "# "+strconv.Itoa(n)+". ") {
			t.Errorf("%s has another number in its title: %v", name, err)
		}
	}
}

// isPath tells a path of the checkout from other quoted words.
func isPath(s string) bool {
	if s == "" || strings.ContainsAny(s, " ()*<>:{}$\"'|,") || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "-") {
		return false
	}
	first, _, nested := strings.Cut(s, "/")
	switch first {
	case "cmd", "sql", "planner", "exec", "log", "server", "shell", "testdata", "docs", ".ci":
		return nested
	}
	return strings.HasSuffix(s, ".md") || s == "go.mod"
}

const root = "../.."

// ignored names what builds and runs leave behind in a checkout.
func ignored(name string) bool {
	return name == "ksh" || name == "bin" || name == "data" || strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".prof")
}

func matches(pkg string, rules []string) bool {
	for _, r := range rules {
		if pkg == strings.TrimSuffix(r, "/") || strings.HasSuffix(r, "/") && strings.HasPrefix(pkg, r) {
			return true
		}
	}
	return false
}

// eachGoFile visits every Go file of the module with its package's path and
// its imports, in-process: no go command is run.
func eachGoFile(t *testing.T, visit func(file, pkg string, imports []string)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, root), string(filepath.Separator)))
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && p != root || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, imp := range f.Imports {
			s, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, s)
		}
		files++
		visit(rel, path.Dir(rel), imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Fatalf("walked only %d Go files", files)
	}
}
