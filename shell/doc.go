// Package shell runs statements for a person: it splits a script, sends
// definitions and queries to a server through server/api, and prints answers.
// The same code serves the prompt, -e and -f, and an embedded engine, whose
// server then listens in memory.
package shell
