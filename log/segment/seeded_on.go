//go:build seededbugs

package segment

// seededBug is the bug to make on purpose. With the build tag seededbugs the
// crash suite must find each of them, or it would not find a real one either.
var seededBug string

func seeded(name string) bool { return name == seededBug }
