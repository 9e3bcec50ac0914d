// Package script runs golden tests of SQL. A file is a list of blocks, divided
// by blank lines:
//
//	# a comment
//
//	partitions 1
//
//	statement ok
//	CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=${partitions}, VALUE_FORMAT='JSON');
//
//	statement error statement
//	CREATE STREAM s2 AS SELECT nope FROM s;
//
//	query rowsort
//	SELECT * FROM s;
//	----
//	1
//	2
//
// Each file runs in an engine of its own in memory, under batch sizes 1, 7 and
// 4096 and with 1 and 4 partitions, and must give the same answers. A file
// whose answer depends on the order of arrival says "partitions 1", with the
// reason in a comment. Every change of a table is emitted (the cache is 0). A
// row is its columns' JSON, with a space between. After "error" stands the
// class of the error: parse, statement, function, serialization, notfound,
// exists, limit or unsupported.
//
// A .sql file holds tests in ksqlDB's test dialect: statements below a line
// "--@test: name", run one by one, each brought to rest before the next, with
// ASSERT VALUES, ASSERT NULL VALUES, ASSERT STREAM and ASSERT TABLE among them.
// "--@expected.error: class" and "--@expected.message: text" before the
// statements say that one of them fails. See sqltest.go.
//
// A .json file holds cases of ksqlDB's query-validation format:
//
//	statements ─> definitions, queries paused ─> expected error, judged by class and names
//	inputs ─bytes─> each query in turn, alone ─> topics ─> compared with outputs
//	catalog and plans ─> post-conditions
//
// What each check does is in case_*.go.
package script
