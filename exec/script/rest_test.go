package script

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestHTTPRunnerFinds is TestCaseRunnerFinds for cases over HTTP.
func TestHTTPRunnerFinds(t *testing.T) { holdMutations(t, restMutations) }

// TestHTTPRunnerEnds gives up a case whose query waits for good: its inputs came
// before it.
func TestHTTPRunnerEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	text := strings.Replace(pushCase, `"inputConditions": {"waitForActivePushQuery": true},`, "", 1)
	if sum, out := runText(ctx, t, text); text == pushCase || sum.Failed != 1 {
		t.Errorf("%+v\n%s", sum, out)
	}
}

const pullCase = `{"tests": [{"name": "pull", "format": ["JSON"],
  "statements": [
    "CREATE STREAM a (k STRING KEY, n INT, d DOUBLE) WITH (KAFKA_TOPIC='a', PARTITIONS=1, VALUE_FORMAT='{FORMAT}');",
    "INSERT INTO a (ROWTIME, k, n, d) VALUES (7, 'one', 1, 2.50);",
    "CREATE TABLE t AS SELECT k, COUNT(*) AS c, SUM(d) AS s FROM a GROUP BY k;",
    "SELECT * FROM t;",
    "SELECT k, n FROM a WHERE n = 2;"],
  "inputs": [
    {"topic": "a", "key": "two", "value": {"n": 2, "d": 0.5}, "timestamp": 10},
    {"topic": "a", "key": "one", "value": {"n": 3, "d": 1.25}, "timestamp": 20}],
  "outputs": [{"topic": "a", "key": "one", "value": {"N": 1, "D": 2.5}, "timestamp": 7}],
  "responses": [
    {"admin": {"@type": "currentStatus", "commandStatus": {"status": "SUCCESS"}}},
    {"admin": {"@type": "currentStatus"}},
    {"query": [
      {"header": {"schema": "` + "`K` STRING KEY, `C` BIGINT, `S` DOUBLE" + `"}},
      {"row": {"columns": ["two", 1, 0.5]}},
      {"row": {"columns": ["one", 2, 3.75]}}]},
    {"query": [
      {"header": {"schema": "` + "`K` STRING, `N` INTEGER" + `", "queryId|starts_with": "query"}},
      {"row": {"columns": ["two", 2]}},
      {"finalMessage": "Query Completed"}]}]
}]}`

const orderCase = `{"tests": [{"name": "order",
  "statements": [
    "CREATE STREAM a (k STRING KEY, n INT) WITH (KAFKA_TOPIC='a', PARTITIONS=1, VALUE_FORMAT='JSON');",
    "SELECT n FROM a;"],
  "inputs": [{"topic": "a", "key": "x", "value": {"n": 2}}, {"topic": "a", "key": "x", "value": {"n": 1}}],
  "outputConditions": {"verifyOrder": true},
  "responses": [
    {"admin": {"@type": "currentStatus"}},
    {"query": [{"header": {}}, {"row": {"columns": [2]}}, {"row": {"columns": [1]}}, {"finalMessage": "Query Completed"}]}]
}]}`

const pushCase = `{"tests": [{"name": "push",
  "statements": [
    "CREATE TABLE a (k STRING PRIMARY KEY, n INT) WITH (KAFKA_TOPIC='a', PARTITIONS=1, VALUE_FORMAT='JSON');",
    "CREATE TABLE t AS SELECT k, n FROM a;",
    "SELECT k, n FROM t EMIT CHANGES LIMIT 2;"],
  "properties": {"auto.offset.reset": "latest"},
  "inputConditions": {"waitForActivePushQuery": true},
  "inputs": [{"topic": "a", "key": "x", "value": {"n": 2}}, {"topic": "a", "key": "x", "value": null}],
  "responses": [
    {"admin": {"@type": "currentStatus"}},
    {"admin": {"@type": "currentStatus"}},
    {"query": [
      {"header": {"schema": "` + "`K` STRING, `N` INTEGER" + `", "queryId|starts_with": "SCALABLE_PUSH_QUERY"}},
      {"row": {"columns": ["x", 2]}},
      {"row": {"columns": ["x", null], "tombstone": true}},
      {"finalMessage": "Limit Reached"}]}]
}]}`

const refusedCase = `{"tests": [{"name": "refused",
  "statements": [
    "CREATE STREAM a (k STRING KEY, amount INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');",
    "SELECT k FROM a WHERE ROWOFFSET > 1;"],
  "expectedError": {"type": "io.confluent.ksql.rest.entity.KsqlStatementErrorMessage", "message": "there is no ROWOFFSET in pull queries", "status": 400}
}]}`

const refusedAdminCase = `{"tests": [{"name": "refused",
  "statements": ["CREATE STREAM a (k STRING KEY) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');", "CREATE STREAM b AS SELECT k, amount FROM a;"],
  "expectedError": {"type": "io.confluent.ksql.rest.entity.KsqlErrorMessage", "message": "no AMOUNT", "status": 400}
}]}`

const protoCase = `{"tests": [{"name": "proto", "testPullWithProtoFormat": true,
  "statements": [
    "CREATE STREAM a (k STRING KEY, n INT, b BYTES, x ARRAY<STRUCT<f DOUBLE>>) WITH (KAFKA_TOPIC='a', PARTITIONS=1, VALUE_FORMAT='JSON');",
    "SELECT * FROM a;"],
  "inputs": [{"topic": "a", "key": "x", "value": {"n": 2, "b": "IQ==", "x": [{"f": 1.5}]}}, {"topic": "a", "key": "y", "value": {"n": 1}}],
  "responses": [
    {"admin": {"@type": "currentStatus"}},
    {"query": [{"header": {}}, {"row": {"columns": ["x", 2, "IQ==", [{"F": 1.5}]]}}, {"row": {}}, {"finalMessage": "Query Completed"}]},
    {"queryProto": [
      {"header": {"protoSchema": "syntax = \"proto3\";\n\nmessage ConnectDefault1 {\n  string K = 1;\n  int32 N = 2;\n  bytes B = 3;\n  repeated ConnectDefault2 X = 4;\n\n  message ConnectDefault2 {\n    double F = 1;\n  }\n}\n"}},
      {"row": "K: \"y\"\nN: 1\n"},
      {"row": "K: \"x\"\nN: 2\nB: \"!\"\nX {\n  F: 1.5\n}\n"},
      {"finalMessage": "Query Completed"}]}]
}]}`

var restMutations = map[string][]mutation{
	pullCase: {
		{"an input's value", `"n": 2, "d": 0.5`, `"n": 9, "d": 0.5`},
		{"an input's key", `"key": "two"`, `"key": "three"`},
		{"an entity's type", `{"admin": {"@type": "currentStatus"}},`, `{"admin": {"@type": "streams"}},`},
		{"a member of an entity", `"status": "SUCCESS"`, `"status": "ERROR"`},
		{"a member that is not there", `"status": "SUCCESS"`, `"nope": "SUCCESS"`},
		{"an entity too many", `{"admin": {"@type": "currentStatus"}},`, `{"admin": {"@type": "currentStatus"}}, {"admin": {"@type": "currentStatus"}},`},
		{"a query's schema", "`S` DOUBLE", "`S` BIGINT"},
		{"the mark of a key", "STRING KEY,", "STRING,"},
		{"a key where none is marked", "`K` STRING, `N`", "`K` STRING KEY, `N`"},
		{"a row's value", `["one", 2, 3.75]`, `["one", 3, 3.75]`},
		{"a number's decimals", `["one", 2, 3.75]`, `["one", 2, 3.750]`},
		{"a whole number with decimals", `["one", 2, 3.75]`, `["one", 2.0, 3.75]`},
		{"a column too many", `["two", 2]`, `["two", 2, 3]`},
		{"a row missing", `{"row": {"columns": ["two", 1, 0.5]}},`, ``},
		{"a row twice", `{"row": {"columns": ["two", 1, 0.5]}},`, `{"row": {"columns": ["two", 1, 0.5]}}, {"row": {"columns": ["two", 1, 0.5]}},`},
		{"a last word", `"Query Completed"`, `"Limit Reached"`},
		{"a last word where there is none", `3.75]}}]}`, `3.75]}}, {"finalMessage": "Query Completed"}]}`},
		{"the beginning of a text", `"queryId|starts_with": "query"`, `"queryId|starts_with": "transient"`},
		{"an output's value", `"N": 1, "D": 2.5`, `"N": 2, "D": 2.5`},
		{"an output's key", `"outputs": [{"topic": "a", "key": "one"`, `"outputs": [{"topic": "a", "key": "two"`},
		{"an output's time", `"timestamp": 7`, `"timestamp": 8`},
		{"an output that is not there", `"timestamp": 7}]`, `"timestamp": 7}, {"topic": "T", "key": "nope", "value": null}]`},
		{"a statement that fails", "SUM(d) AS s", "SUM(nope) AS s"},
		{"a query that fails", "WHERE n = 2", "WHERE nope = 2"},
		{"an expected error", `"responses"`, `"expectedError": {"message": "no"}, "responses"`},
	},
	orderCase: {{"the order of rows", `{"row": {"columns": [2]}}, {"row": {"columns": [1]}}`, `{"row": {"columns": [1]}}, {"row": {"columns": [2]}}`}},
	pushCase: {
		{"a tombstone", `"tombstone": true`, `"tombstone": false`},
		{"where a tombstone stands", `{"row": {"columns": ["x", 2]}},
      {"row": {"columns": ["x", null], "tombstone": true}},`, `{"row": {"columns": ["x", null], "tombstone": true}},
      {"row": {"columns": ["x", 2]}},`},
		{"a query's id", `"SCALABLE_PUSH_QUERY"`, `"transient"`},
	},
	refusedCase: {
		{"the status", `"status": 400`, `"status": 500`},
		{"a query that is right", "WHERE ROWOFFSET > 1", "WHERE amount > 1"},
		{"a name that the error lacks", `there is no ROWOFFSET`, "`K` has no ROWOFFSET"},
	},
	refusedAdminCase: {
		{"the status", `"status": 400`, `"status": 404`},
		{"a statement that is right", "SELECT k, amount", "SELECT k, 1 AS one"},
		{"another statement that fails", "CREATE STREAM b AS SELECT k, amount FROM a;", "DROP STREAM x; -- amount"},
	},
	protoCase: {
		{"the schema", `double F`, `float F`},
		{"a message's value", `F: 1.5`, `F: 2.5`},
		{"a message's field", `B: \"!\"\n`, ``},
		{"a last word", `"Query Completed"}]}]`, `"Limit Reached"}]}]`},
		{"no rows as protobuf", `"testPullWithProtoFormat": true,`, ``},
	},
}
