package types

import "strings"

// Nearest returns the name that name probably was meant to be: the one with
// the smallest edit distance, without regard to case, the first by the alphabet
// among equals; "" if none is near.
func Nearest(name string, names []string) string {
	best, at := len(name)/2+1, ""
	for _, n := range names {
		if d := EditDistance(strings.ToUpper(name), strings.ToUpper(n)); d < best || d == best && at != "" && n < at {
			best, at = d, n
		}
	}
	return at
}

// EditDistance is the number of bytes to insert, delete or replace to make b
// of a.
func EditDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
