package sql

import "karst/sql/types"

// A Fragment is the text of one statement of a script, without the semicolon.
type Fragment struct {
	At   types.Pos
	Text string
}

// SplitStatements divides a script at its semicolons, without parsing, and
// without those in strings, quoted names and comments. rest is what follows the
// last semicolon; its text is empty if there is nothing but blanks and
// comments. A shell goes on reading lines while rest has text.
func SplitStatements(text string) (statements []Fragment, rest Fragment) {
	l := newLexer(text)
	l.all = true
	toks := l.run()
	start := 0
	for i, t := range toks {
		if t.isOp(";") {
			if i > start {
				statements = append(statements, Fragment{toks[start].at, text[toks[start].start:toks[i-1].end]})
			}
			start = i + 1
		}
	}
	end := len(toks) - 1
	switch {
	case l.open >= 0 && start == end:
		rest = Fragment{l.position(l.open), text[l.open:]}
	case l.open >= 0:
		rest = Fragment{toks[start].at, text[toks[start].start:]}
	case start < end:
		rest = Fragment{toks[start].at, text[toks[start].start:toks[end-1].end]}
	}
	return statements, rest
}
