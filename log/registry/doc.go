// Package registry keeps schemas for records that name them by id: the subjects
// of topics, each with versions, and the rules that a new version has to keep.
//
//	Register ─check─> record of the topic _karst_schemas ─fold─> subjects, ids, levels
//
// A Registry is either embedded, with all that it knows folded from a topic of
// its own at the start, or a client of another one that speaks Confluent's REST
// API. The topic's records have the form that Confluent's registry gives them.
// Errors carry the codes of that API.
package registry
