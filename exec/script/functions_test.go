package script

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"karst/sql/function"
)

// TestEveryFunctionHasCases holds that each function of the library is called
// in some golden test.
func TestEveryFunctionHasCases(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "slt", "*.slt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	called := map[string]bool{}
	call := regexp.MustCompile(`[A-Za-z0-9_]+\(`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range call.FindAllString(string(text), -1) {
			called[strings.ToUpper(strings.TrimSuffix(c, "("))] = true
		}
	}
	for _, d := range function.Default().All() {
		if !called[d.Name] {
			t.Errorf("no file calls %s", d.Name)
		}
	}
}
