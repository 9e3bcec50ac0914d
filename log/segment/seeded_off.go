//go:build !seededbugs

package segment

// seeded reports whether a bug is to be made on purpose; see seeded_on.go.
func seeded(string) bool { return false }
