package script

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOwnCases runs the project's tests in ksqlDB's formats, its .json cases
// record by record and in batches.
func TestOwnCases(t *testing.T) {
	for _, batch := range []int{1, 4096} {
		var out bytes.Buffer
		sum, err := Run(context.Background(), []string{"../../testdata/sqltest", "../../testdata/cases"}, Options{CaseBatch: batch}, &out)
		if err != nil || sum.Failed > 0 || sum.Passed == 0 {
			t.Errorf("%+v, %v\n%s", sum, err, out.String())
		}
	}
}

// A mutation replaces a text of a case that passes, so that it must fail.
type mutation struct{ name, old, by string }

const rowsCase = `{"tests": [{"name": "rows", "format": ["JSON"],
  "properties": {"ksql.new.query.planner.enabled": "{CONFIG}"}, "config": ["false"],
  "statements": [
    "CREATE STREAM a (k STRING KEY, n INT, d DOUBLE, x STRUCT<f ARRAY<STRING>>) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='{FORMAT}');",
    "CREATE STREAM b AS SELECT k, n + 1 AS m, d, x FROM a WHERE n <> 5;"],
  "inputs": [ // a comment
    {"topic": "a", "key": "one", "value": {"n": 1, "d": 1.50, "x": {"f": ["p", null]}}, "timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IQ=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "a", "value": {"n": 2}, "timestamp": 20},
    {"topic": "a", "key": "gone", "value": {"n": 5}, "timestamp": 30}],
  "outputs": [
    {"topic": "B", "key": "one", "value": {"M": 2, "D": 1.5, "X": {"F": ["p", null]}}, "timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IQ=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "B", "value": {"M": 3, "D": null, "X": null}, "timestamp": 20}],
  "post": {
    "sources": [{"name": "B", "type": "stream", "schema": "K STRING KEY, M INT, D DOUBLE, X STRUCT<F ARRAY<STRING>>", "keyFormat": {"format": "KAFKA"}, "valueFormat": "JSON", "isSource": false, "keyFeatures": [], "valueFeatures": []}],
    "topics": {"blacklist": ".*-repartition", "topics": [{"name": "B", "keyFormat": {"format": "KAFKA"}, "valueFormat": {"format": "JSON"}, "partitions": 4}]}}
}]}`

const windowCase = `{"tests": [{"name": "windows",
  "statements": [
    "CREATE STREAM a (k INT KEY, n INT) WITH (KAFKA_TOPIC='a', KEY_FORMAT='JSON', VALUE_FORMAT='DELIMITED', VALUE_DELIMITER=';');",
    "CREATE TABLE t AS SELECT k, COUNT(*) AS c, SUM(n) AS s FROM a WINDOW TUMBLING (SIZE 10 MILLISECONDS) GROUP BY k;",
    "CREATE TABLE v WITH (VALUE_FORMAT='JSON') AS SELECT k, COUNT(*) AS c FROM a WINDOW SESSION (5 MILLISECONDS) GROUP BY k;"],
  "inputs": [
    {"topic": "a", "key": 1, "value": "7", "timestamp": 12},
    {"topic": "a", "key": 1, "value": "8", "timestamp": 14}],
  "outputs": [
    {"topic": "T", "key": 1, "value": "1;7", "timestamp": 12, "window": {"start": 10, "end": 20, "type": "time"}},
    {"topic": "T", "key": 1, "value": "2;15", "timestamp": 14, "window": {"start": 10, "end": 20, "type": "time"}},
    {"topic": "V", "key": 1, "value": {"C": 1}, "timestamp": 12, "window": {"start": 12, "end": 12, "type": "session"}},
    {"topic": "V", "key": 1, "value": null, "timestamp": 12, "window": {"start": 12, "end": 12, "type": "session"}},
    {"topic": "V", "key": 1, "value": {"C": 2}, "timestamp": 14, "window": {"start": 12, "end": 14, "type": "session"}}],
  "post": {"sources": [{"name": "T", "type": "table", "keyFormat": {"format": "JSON", "windowType": "TUMBLING", "windowSize": 10}, "keyFeatures": ["UNWRAP_SINGLES"]}],
    "topics": {"topics": [{"name": "T", "keyFormat": {"format": "JSON", "features": ["UNWRAP_SINGLES"], "windowInfo": {"type": "TUMBLING", "size": 0.01}}, "valueFormat": {"format": "DELIMITED", "properties": {"delimiter": ";"}}}]}}
}]}`

const errorCase = `{"tests": [{"name": "errors",
  "statements": ["CREATE STREAM a (k INT KEY, amount INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');", "CREATE STREAM b AS SELECT k, amout FROM a;"],
  "expectedException": {"type": "io.confluent.ksql.util.KsqlStatementException", "message": "the column AMOUT is not there"}}]}`

const chainCase = `{"tests": [{"name": "chain",
  "statements": ["CREATE STREAM a (k INT KEY, n INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');",
    "CREATE STREAM b AS SELECT k, n FROM a;", "CREATE STREAM c AS SELECT k, n FROM b PARTITION BY k;", "INSERT INTO a VALUES (9, 9);"],
  "inputs": [{"topic": "B", "key": 1, "value": {"N": 1}}],
  "outputs": [{"topic": "B", "key": 1, "value": {"N": 1}}, {"topic": "B", "key": 9, "value": {"N": 9}}, {"topic": "C", "key": 1, "value": {"N": 1}}]}]}`

const planCase = `{"tests": [{"name": "plan",
  "statements": ["CREATE STREAM a (k INT KEY, n INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');", "CREATE TABLE t AS SELECT k, COUNT(*) AS c FROM a GROUP BY k;"],
  "post": {"topics": {"blacklist": ".*-repartition"}}}]}`

var mutations = map[string][]mutation{
	rowsCase: {
		{"an input", `"n": 1,`, `"n": 4,`},
		{"a value", `"M": 2`, `"M": 3`},
		{"a whole number with decimals", `"D": 1.5,`, `"D": 1,`},
		{"a double", `"D": 1.5,`, `"D": 1.25,`},
		{"the number of decimals", `"D": 1.5,`, `"D": 1.50,`},
		{"a null that is none", `"D": null`, `"D": 0.0`},
		{"an element", `"F": ["p", null]}}, "timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IQ=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "B", "value"`, `"F": ["p", "q"]}}, "timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IQ=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "B", "value"`},
		{"a member too many", `"M": 3, "D": null`, `"M": 3, "Y": null, "D": null`},
		{"a member too few", `"M": 3, "D": null, "X": null`, `"M": 3, "D": null`},
		{"a key", `"B", "key": "one"`, `"B", "key": "two"`},
		{"a key where there is none", `"topic": "B", "value": {"M": 3`, `"topic": "B", "key": "q", "value": {"M": 3`},
		{"no key where there is one", `"topic": "B", "key": "one",`, `"topic": "B",`},
		{"a time", `"X": null}, "timestamp": 20`, `"X": null}, "timestamp": 21`},
		{"a window where there is none", `"X": null}, "timestamp": 20`, `"X": null}, "window": {"start": 0, "end": 1, "type": "time"}, "timestamp": 20`},
		{"a header's value", `"timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IQ=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "B", "value"`, `"timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IA=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "B", "value"`},
		{"no headers", `"timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IQ=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "B", "value"`, `"timestamp": 10},
    {"topic": "B", "value"`},
		{"an input's header", `"VALUE": "IQ=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "a"`, `"VALUE": "IQ=="}]},
    {"topic": "a"`},
		{"a record too many", `"outputs": [`, `"outputs": [{"topic": "B", "value": {"M": 9, "D": null, "X": null}},`},
		{"a record too few", `WHERE n <> 5`, `WHERE n <> 6`},
		{"the order", `"timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IQ=="}, {"KEY": "z", "VALUE": null}]},
    {"topic": "a", "value": {"n": 2}, "timestamp": 20}`, `"timestamp": 10, "headers": [{"KEY": "h", "VALUE": "IQ=="}]},
    {"topic": "a", "value": {"n": 0}, "timestamp": 20}`},
		{"another topic", `"outputs": [
    {"topic": "B"`, `"outputs": [
    {"topic": "Q"`},
		{"a topic's case", `"outputs": [
    {"topic": "B"`, `"outputs": [
    {"topic": "b"`},
		{"a statement", `n + 1`, `n + 2`},
		{"an error", `n + 1`, `nope + 1`},
		{"the format", `["JSON"]`, `["DELIMITED"]`},
		{"a source's type", `"type": "stream"`, `"type": "table"`},
		{"a source's name", `"name": "B", "type"`, `"name": "C", "type"`},
		{"a column's type", `M INT, D`, `M BIGINT, D`},
		{"a column's name", `M INT, D`, `MM INT, D`},
		{"a key column", `K STRING KEY, M`, `K STRING, M`},
		{"the key format", `"keyFormat": {"format": "KAFKA"}, "valueFormat": "JSON"`, `"keyFormat": {"format": "JSON"}, "valueFormat": "JSON"`},
		{"the key's window", `"keyFormat": {"format": "KAFKA"}, "valueFormat": "JSON"`, `"keyFormat": {"format": "KAFKA", "windowType": "SESSION"}, "valueFormat": "JSON"`},
		{"the value format", `"valueFormat": "JSON"`, `"valueFormat": "AVRO"`},
		{"whether it is a source", `"isSource": false`, `"isSource": true`},
		{"key features", `"keyFeatures": []`, `"keyFeatures": ["UNWRAP_SINGLES"]`},
		{"value features", `"valueFeatures": []`, `"valueFeatures": ["WRAP_SINGLES"]`},
		{"a topic's name", `[{"name": "B", "keyFormat"`, `[{"name": "C", "keyFormat"`},
		{"a topic's format", `"valueFormat": {"format": "JSON"}`, `"valueFormat": {"format": "KAFKA"}`},
		{"a topic's features", `"valueFormat": {"format": "JSON"}`, `"valueFormat": {"format": "JSON", "features": ["WRAP_SINGLES"]}`},
		{"a topic's partitions", `"partitions": 4`, `"partitions": 5`},
	},
	windowCase: {
		{"a window's start", `"value": "2;15", "timestamp": 14, "window": {"start": 10`, `"value": "2;15", "timestamp": 14, "window": {"start": 11`},
		{"a window's end", `"end": 20, "type": "time"}},
    {"topic": "V"`, `"end": 21, "type": "time"}},
    {"topic": "V"`},
		{"a window's type", `"start": 12, "end": 14, "type": "session"`, `"start": 12, "end": 14, "type": "time"`},
		{"a session's end", `"start": 12, "end": 14`, `"start": 12, "end": 15`},
		{"a session's start", `"start": 12, "end": 14`, `"start": 13, "end": 14`},
		{"no window", `, "window": {"start": 12, "end": 14, "type": "session"}`, ``},
		{"a tombstone", `"value": null`, `"value": {"C": 1}`},
		{"text", `"2;15"`, `"2;16"`},
		{"the kind of window", `"windowType": "TUMBLING"`, `"windowType": "HOPPING"`},
		{"its size", `"windowSize": 10`, `"windowSize": 11`},
		{"features", `"keyFeatures": ["UNWRAP_SINGLES"]`, `"keyFeatures": []`},
		{"a topic's window", `"windowInfo": {"type": "TUMBLING", "size": 0.01}`, `"windowInfo": {"type": "SESSION"}`},
		{"a topic's window size", `"size": 0.01`, `"size": 0.02`},
		{"a topic without window", `, "windowInfo": {"type": "TUMBLING", "size": 0.01}`, ``},
		{"a topic's key features", `"features": ["UNWRAP_SINGLES"], `, ``},
		{"a delimiter", `{"delimiter": ";"}`, `{"delimiter": "|"}`},
	},
	errorCase: {
		{"no error", `amout FROM`, `amount FROM`},
		{"another statement", `KAFKA_TOPIC='a'`, `KAFKA_TOPIC=''`},
		{"another class", `KsqlStatementException`, `StreamsException`},
		{"a name", `the column AMOUT is`, `the column B is`},
		{"nothing but an error", `"expectedException"`, `"expected"`},
	},
	planCase: {
		{"what must not be repartitioned", `SELECT k, COUNT(*) AS c FROM a GROUP BY k`, `SELECT n, COUNT(*) AS c FROM a GROUP BY n`},
	},
	chainCase: {
		{"what a later query reads", `{"topic": "C", "key": 1, "value": {"N": 1}}`, `{"topic": "C", "key": 9, "value": {"N": 9}}`},
		{"what is inserted", `VALUES (9, 9)`, `VALUES (9, 8)`},
		{"what stands before", `"outputs": [{"topic": "B", "key": 1, "value": {"N": 1}}, {"topic": "B", "key": 9, "value": {"N": 9}}`, `"outputs": [{"topic": "B", "key": 9, "value": {"N": 9}}, {"topic": "B", "key": 1, "value": {"N": 1}}`},
	},
}

// TestCaseRunnerFinds holds the case runner to passing a case and failing it
// once any one of the values that it checks is another.
func TestCaseRunnerFinds(t *testing.T) { holdMutations(t, mutations) }

// runText runs a file of cases.
func runText(ctx context.Context, t *testing.T, text string) (Summary, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	sum, err := Run(ctx, []string{file}, Options{}, &out)
	if err != nil {
		t.Fatal(err)
	}
	return sum, out.String()
}

func holdMutations(t *testing.T, mutations map[string][]mutation) {
	t.Helper()
	for text, list := range mutations {
		if sum, out := runText(t.Context(), t, text); sum.Passed != 1 || sum.Failed != 0 {
			t.Errorf("unchanged: %+v\n%s", sum, out)
			continue
		}
		for _, m := range list {
			changed := strings.Replace(text, m.old, m.by, 1)
			if changed == text {
				t.Errorf("%s: nothing changed", m.name)
			} else if sum, out := runText(t.Context(), t, changed); sum.Failed != 1 {
				t.Errorf("%s: %+v\n%s", m.name, sum, out)
			}
		}
	}
}

// TestCaseSkipped holds what is not run to what the cases' README allows.
func TestCaseSkipped(t *testing.T) {
	for text, want := range map[string]Summary{
		strings.Replace(rowsCase, `"name": "rows"`, `"name": "rows", "enabled": false`, 1):                                                                                                  {Skipped: 1},
		strings.Replace(rowsCase, `"name": "rows"`, `"name": "rows", "enabled": true`, 1):                                                                                                   {Passed: 1},
		`{"tests": [{"name": "internal", "statements": ["nonsense;"], "post": {"topics": {"topics": [{"name": "_confluent-ksql-some.ksql.service.idquery_X-repartition"}]}}}]}`:             {Skipped: 1},
		`{"tests": [{"name": "mixed", "statements": ["nonsense;"], "post": {"topics": {"topics": [{"name": "_confluent-ksql-some.ksql.service.idquery_X-repartition"}, {"name": "T"}]}}}]}`: {Failed: 1},
	} {
		file := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sum, err := Run(context.Background(), []string{file}, Options{}, &bytes.Buffer{})
		if err != nil || sum != want {
			t.Errorf("%+v, %v, want %+v of\n%s", sum, err, want, text)
		}
	}
}

// TestFailureShown holds a failing case's report to what one needs to see.
func TestFailureShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(file, []byte(strings.Replace(rowsCase, `"M": 2`, `"M": 7`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := Run(context.Background(), []string{file}, Options{}, &out); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"FAIL x - rows - JSON - ksql.new.query.planner.enabled=false", "CREATE STREAM b", "input {", "record 0", "expected", "actual", `"M":7`, "≠", `"M":2`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in\n%s", part, out.String())
		}
	}
}
