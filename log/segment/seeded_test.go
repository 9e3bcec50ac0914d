//go:build seededbugs

package segment

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestSeededBugs makes each bug in turn and runs the crash suite, which must
// find it:
//
//	go test -tags seededbugs -run TestSeededBugs ./log/segment
func TestSeededBugs(t *testing.T) {
	for _, bug := range bugNames(t) {
		t.Run(bug, func(t *testing.T) {
			seededBug = bug
			defer func() { seededBug = "" }()
			if err := suite(); err != nil {
				t.Log(err)
			} else {
				t.Error("nobody noticed")
			}
		})
	}
}

// bugNames reads the names from the source, so that none is left out.
func bugNames(t *testing.T) []string {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if text, err := os.ReadFile(f.Name()); err == nil && f.Name() != "seeded_test.go" {
			for _, m := range regexp.MustCompile(`seeded\("([a-z-]+)"\)`).FindAllSubmatch(text, -1) {
				names = append(names, string(m[1]))
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 12 {
		t.Fatalf("only %d bugs: %v", len(names), names)
	}
	return names
}

// suite runs the tests of the suite, quickest first, until one finds
// something; a panic is a find, too.
func suite() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := crashesWhileRecovering(); err != nil {
		return fmt.Errorf("crashes while recovering: %w", err)
	}
	for s := range uint64(300) {
		if err := randomCrashes(s, 60, false); err != nil {
			return fmt.Errorf("random crashes, seed %d: %w", s, err)
		}
	}
	for s := range uint64(300) {
		if _, err := damageWhileItLives(s, 60); err != nil {
			return fmt.Errorf("damage, seed %d: %w", s, err)
		}
	}
	for s := range uint64(8) { // workloads differ in whether a fault meets a compaction
		if _, err := faultEverywhere(s, 60); err != nil {
			return fmt.Errorf("faults, seed %d: %w", s, err)
		}
	}
	if _, err := flips(4000); err != nil {
		return fmt.Errorf("bit flips: %w", err)
	}
	_, err = crashEverywhere(2, 300, 1)
	return err
}
