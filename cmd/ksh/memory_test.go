package main

import "testing"

func TestMemoryIn(t *testing.T) {
	for text, want := range map[string]int64{
		"1073741824\n": 1 << 30,
		"max\n":        0,
		"MemTotal:       24615900 kB\nMemFree: 1 kB\n": 24615900 << 10,
		"MemTotal: x kB":                   0,
		"9223372036854775807":              9223372036854775807,
		"MemTotal: 9223372036854775807 kB": 0,
		"":                                 0,
	} {
		if got := memoryIn(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
