// Package function is the function library: what each SQL function is called,
// takes, returns and does.
//
// A function is one Def: name, kind, category, description, signatures,
// examples that tests run, and its kernels. Defs stand in explicit lists by
// family (one file a family); Library collects them. SHOW FUNCTIONS, DESCRIBE
// FUNCTION, docs/functions.md and completion are made from the same Defs.
//
// Kernels work on whole vectors: the arguments come in as vectors, the result
// goes out as one, and dispatch by type happens once, when a call is resolved
// to a Signature.
package function
