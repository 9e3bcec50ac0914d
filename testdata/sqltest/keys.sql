-- Keys: what they are called and computed from, in which format.

--@test: grouping by a struct, in a key format that holds it
CREATE STREAM s (k INT KEY, a INT, b STRING) WITH (KAFKA_TOPIC='s', FORMAT='JSON');
CREATE TABLE n AS SELECT STRUCT(x := a, y := b) AS g, COUNT(*) AS n FROM s GROUP BY STRUCT(x := a, y := b);
INSERT INTO s VALUES (1, 7, 'p');
INSERT INTO s VALUES (2, 7, 'p');
ASSERT VALUES n (g, n) VALUES (STRUCT(x := 7, y := 'p'), 1);
ASSERT VALUES n (g, n) VALUES (STRUCT(x := 7, y := 'p'), 2);
ASSERT TABLE n (g STRUCT<x INT, y STRING> PRIMARY KEY, n BIGINT) WITH (KAFKA_TOPIC='N', FORMAT='JSON');

--@test: a KAFKA key holds no struct
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: STRUCT
CREATE STREAM s (k INT KEY, a INT, b STRING) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
CREATE TABLE n AS SELECT STRUCT(x := a, y := b) AS g, COUNT(*) AS n FROM s GROUP BY STRUCT(x := a, y := b);

--@test: several keys, in the order of GROUP BY
CREATE STREAM s (k INT KEY, a INT, b STRING) WITH (KAFKA_TOPIC='s', FORMAT='DELIMITED');
CREATE TABLE n AS SELECT b, a, COUNT(*) AS n FROM s GROUP BY a, b;
INSERT INTO s VALUES (1, 7, 'p');
ASSERT VALUES n (a, b, n) VALUES (7, 'p', 1);
ASSERT TABLE n (a INT PRIMARY KEY, b STRING PRIMARY KEY, n BIGINT) WITH (KAFKA_TOPIC='N', FORMAT='DELIMITED');

--@test: partitioning by a field, an element, a computed value
CREATE STREAM s (k INT KEY, st STRUCT<f STRING>, ar ARRAY<BIGINT>) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
CREATE STREAM f AS SELECT * FROM s PARTITION BY st->f;
CREATE STREAM e AS SELECT ar[2] AS second, k FROM s PARTITION BY ar[2];
CREATE STREAM c AS SELECT * FROM s PARTITION BY CAST(k AS STRING) + '!';
INSERT INTO s VALUES (1, STRUCT(f := 'x'), ARRAY[5, 6]);
ASSERT VALUES f (f, k, st) VALUES ('x', 1, STRUCT(f := 'x'));
ASSERT VALUES e (second, k) VALUES (6, 1);
ASSERT VALUES c (ksql_col_0, k) VALUES ('1!', 1);
ASSERT STREAM f (f STRING KEY, st STRUCT<f STRING>, ar ARRAY<BIGINT>, k INT) WITH (KAFKA_TOPIC='F', VALUE_FORMAT='JSON');

--@test: partitioning by nothing takes the key away
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
CREATE STREAM o AS SELECT * FROM s PARTITION BY NULL;
INSERT INTO s VALUES (1, 2);
ASSERT VALUES o (v, k) VALUES (2, 1);
ASSERT STREAM o (v INT, k INT) WITH (KAFKA_TOPIC='O', KEY_FORMAT='NONE', VALUE_FORMAT='JSON');

--@test: one key of several is missing
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: K2 for O
CREATE STREAM s (k1 INT KEY, k2 STRING KEY, v INT) WITH (KAFKA_TOPIC='s', FORMAT='JSON');
CREATE STREAM o AS SELECT k1, v FROM s;

--@test: a join's key is the column that both sides call it
CREATE STREAM l (k INT KEY, a INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON');
CREATE STREAM r (k INT KEY, b INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON');
CREATE STREAM j AS SELECT * FROM l JOIN r WITHIN 1 MINUTE ON l.a = r.b;
CREATE STREAM q AS SELECT r.b AS id, l.k AS lk FROM l JOIN r WITHIN 1 MINUTE ON l.a = r.b;
CREATE STREAM x AS SELECT ROWKEY AS id, l.k AS lk FROM l JOIN r WITHIN 1 MINUTE ON l.a + 1 = r.b + 1;
CREATE STREAM f AS SELECT ROWKEY, l.k AS lk, r.k AS rk FROM l FULL JOIN r WITHIN 1 MINUTE ON l.a = r.b;
INSERT INTO l (rowtime, k, a) VALUES (1, 1, 5);
INSERT INTO r (rowtime, k, b) VALUES (2, 2, 5);
ASSERT VALUES j (rowtime, l_a, l_k, r_k, r_b) VALUES (2, 5, 1, 2, 5);
ASSERT VALUES q (id, lk) VALUES (5, 1);
ASSERT VALUES x (id, lk) VALUES (6, 1);
ASSERT VALUES f (rowkey, lk, rk) VALUES (5, 1, NULL);
ASSERT VALUES f (rowkey, lk, rk) VALUES (5, 1, 2);
ASSERT STREAM j (l_a INT KEY, l_k INT, r_k INT, r_b INT) WITH (KAFKA_TOPIC='J', VALUE_FORMAT='JSON');

--@test: a computed key has to be selected
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: ROWKEY is missing
CREATE STREAM l (k INT KEY, a INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON');
CREATE STREAM r (k INT KEY, b INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON');
CREATE STREAM x AS SELECT l.k AS lk FROM l JOIN r WITHIN 1 MINUTE ON l.a + 1 = r.b + 1;

--@test: streams of other partition counts do not join
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: L and R
CREATE STREAM l (k INT KEY, a INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON', PARTITIONS=2);
CREATE STREAM r (k INT KEY, b INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON', PARTITIONS=3);
CREATE STREAM j AS SELECT * FROM l JOIN r WITHIN 1 MINUTE ON l.k = r.k;

--@test: the name of a key column may be taken by no other
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: N
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
CREATE TABLE t AS SELECT v AS n, COUNT(*) AS n FROM s GROUP BY v;
