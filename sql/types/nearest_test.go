package types

import "testing"

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		name  string
		names []string
		want  string
	}{
		{"ORIGN", []string{"DELAY", "ORIGIN", "DATE"}, "ORIGIN"},
		{"origin", []string{"ORIGIN"}, "ORIGIN"},
		{"AC", []string{"AD", "AB"}, "AB"},
		{"X", []string{"COMPLETELY"}, ""},
		{"", []string{"A"}, ""},
	} {
		if got := Nearest(c.name, c.names); got != c.want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", c.name, c.names, got, c.want)
		}
	}
}

func FuzzEditDistance(f *testing.F) {
	f.Add("kitten", "sitting")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 100 || len(b) > 100 {
			return
		}
		d := EditDistance(a, b)
		if d != EditDistance(b, a) || d > max(len(a), len(b)) || (d == 0) != (a == b) {
			t.Errorf("%q to %q: %d", a, b, d)
		}
	})
}
