// Package sql is the language: lexer, parser, syntax tree, printer.
//
//	text ─lex─> tokens ─substitute ${x}─> tokens ─parse─> []Statement ─Print─> text
//	                                                  │
//	                                 SELECT … ─rewrite─> tidb parser ─convert─> Query
//
// Statements, column lists, types, WITH clauses, windows and EMIT are parsed
// by recursive descent (parser*.go). A whole SELECT is handed to the tidb
// parser after a rewrite of its tokens (rewrite*.go) that never shows MySQL an
// identifier, a literal or a function name: each leaf token becomes a back
// quoted token index, syntax that MySQL lacks becomes calls of reserved
// functions or is stripped and kept beside. Its tree is converted into ours at
// once (tidb.go, convert*.go); nothing else knows of tidb, and nothing of its
// messages reaches a user: an error is told by the token it stands at and by
// what could stand there (expectedAt).
//
// Trees are immutable: whoever has one may keep it and share it. parse, print
// and parse again is the identity.
package sql
