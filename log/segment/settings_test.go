package segment

import (
	"slices"
	"strings"
	"testing"
)

// TestSettings holds that the list is in order, and each default right.
func TestSettings(t *testing.T) {
	if !slices.IsSortedFunc(configDefs, func(a, b configDef) int { return strings.Compare(a.name, b.name) }) {
		t.Error("settings are not sorted by name")
	}
	for _, d := range configDefs {
		if findConfig(d.name) == nil {
			t.Errorf("%s is not found", d.name)
		}
		if err := d.check(d.fallback); err != nil {
			t.Errorf("default %q of %s: it %v", d.fallback, d.name, err)
		}
		if d.doc == "" {
			t.Errorf("%s has no description", d.name)
		}
	}
}
