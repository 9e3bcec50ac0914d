package difftest

import "fmt"

// A definition is a script for all advertised versions of a key, from min on.
type definition struct {
	key  int16
	name string
	min  int16
	run  func(*session)
}

var definitions []definition

// define adds a script for all versions of a key.
func define(key int16, name string, run func(*session)) { defineFrom(key, 0, name, run) }

// defineFrom adds a script for the versions from min on.
func defineFrom(key, min int16, name string, run func(*session)) {
	definitions = append(definitions, definition{key, name, min, run})
}

// A span is the versions that the door advertises of a key.
type span struct{ min, max int16 }

// expand returns the scripts for what is advertised.
func expand(advertised map[int16]span) []*script {
	var out []*script
	for _, d := range definitions {
		a, ok := advertised[d.key]
		if !ok {
			continue
		}
		for v := max(a.min, d.min); v <= a.max; v++ {
			out = append(out, &script{name: fmt.Sprintf("%s/v%d", d.name, v), key: d.key, version: v, ends: v == a.max || v == max(a.min, d.min), run: d.run})
		}
	}
	return out
}
