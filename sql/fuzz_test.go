package sql

import (
	"testing"
)

// FuzzParse holds that no text makes the parser panic, and that what parses
// prints and parses again to the same tree.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"SELECT a->b[1], x.y FROM t AS x WHERE NOT a LIKE '%' || 'x' ESCAPE '!' EMIT CHANGES;",
		"CREATE STREAM s (k INT KEY, v STRUCT<a DECIMAL(4,2), b MAP<STRING, ARRAY<INT>>>) WITH (kafka_topic='t');",
		"SELECT TRANSFORM(a, (k, v) => k + v) FROM s WINDOW TUMBLING (SIZE 1 DAY) GROUP BY k HAVING COUNT(*) > 1;",
		"INSERT INTO s (a) VALUES (-1.5e3, DATE '2020-01-01', ARRAY[1], CASE WHEN a IS NULL THEN 1 END);",
		"WITH x AS (SELECT 1) (SELECT a FROM s LIMIT 1) UNION ALL SELECT b FROM t INTERSECT SELECT c FROM u ORDER BY a DESC EMIT FINAL LIMIT 3",
		"SELECT SUM(a) OVER (PARTITION BY b->c ORDER BY d ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS `x``y` FROM a LEFT JOIN (b FULL JOIN c ON x = y) WITHIN (1 HOUR, 2 DAYS) GRACE PERIOD 0 DAYS ON a.id = b.2id",
		"SELECT CAST(MAP('a' := STRUCT(b := 1))['a']->b AS VARCHAR), EXISTS (SELECT * FROM t) FROM s PARTITION BY (a, b) EMIT CHANGES",
		"DEFINE x = '-5'; SELECT a IS DISTINCT FROM ${x}, '${x}' FROM s WHERE a BETWEEN - -1 AND -(1) OR b NOT IN (1, 2)",
		"PRINT 'a-b' FROM BEGINNING INTERVAL 2 LIMIT 3; SHOW ALL TOPICS EXTENDED; ASSERT NULL VALUES s (k) KEY (1); EXPLAIN q_1;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if stmts, err := Parse(text, Options{}); err == nil && len(stmts) > 0 {
			checkRoundTrip(t, "fuzz", text)
		}
	})
}

// FuzzParseExpr does the same for expressions, as plans keep them.
func FuzzParseExpr(f *testing.F) {
	for _, s := range []string{"(x, y) => x + y * -z->a[1]", "NOT NOT a = b AND c || d LIKE e", "a IN ((x) => x)", "CASE a WHEN 1 THEN 2 ELSE (SELECT 1) END"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseExpr(text)
		if err != nil {
			return
		}
		printed := PrintExpr(e)
		if again, err := ParseExpr(printed); err != nil || !EqualExpr(e, again) {
			t.Fatalf("%q prints as %q, which is another expression: %v", text, printed, err)
		}
	})
}
