--@test: values, tombstones, times, nulls, decimals
CREATE TABLE t (k STRING PRIMARY KEY, v DECIMAL(6, 2), w ARRAY<INT>) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');
CREATE TABLE u AS SELECT k, v + 1 AS v, w FROM t WHERE v > 0;
INSERT INTO t (rowtime, k, v, w) VALUES (5, 'a', 1.50, ARRAY[1, 2]);
INSERT INTO t (rowtime, k, v) VALUES (6, 'a', 0.00);
ASSERT VALUES u (rowtime, k, v, w) VALUES (5, 'a', 2.50, ARRAY[1, 2]);
ASSERT NULL VALUES u (k) KEY ('a');
ASSERT VALUES t (v, w) VALUES (1.5, ARRAY[1, 2]);
ASSERT VALUES t (k, v, w) VALUES ('a', 0, NULL);

--@test: windows end with the key, columns tell of them
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
CREATE TABLE w AS SELECT k, SUM(v) AS n, WINDOWSTART AS ws, WINDOWEND AS we FROM s WINDOW TUMBLING (SIZE 10 MILLISECONDS) GROUP BY k;
INSERT INTO s (rowtime, k, v) VALUES (12, 1, 3);
INSERT INTO s (rowtime, k, v) VALUES (19, 1, 4);
INSERT INTO s (rowtime, k, v) VALUES (20, 1, 5);
ASSERT VALUES w (k, n, ws, we) VALUES (1, 3, 10, 20);
ASSERT VALUES w (k, n, ws, we) VALUES (1, 7, 10, 20);
ASSERT VALUES w (k, n, ws, we) VALUES (1, 5, 20, 30);

--@test: a wrong value
--@expected.error: java.lang.AssertionError
--@expected.message: Expected record does not match actual.
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
INSERT INTO s VALUES (1, 2);
ASSERT VALUES s (k, v) VALUES (1, 3);

--@test: a wrong time
--@expected.error: java.lang.AssertionError
--@expected.message: Expected record does not match actual.
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
INSERT INTO s (rowtime, k, v) VALUES (1, 1, 2);
ASSERT VALUES s (k, v, rowtime) VALUES (1, 2, 2);

--@test: no record left
--@expected.error: java.lang.AssertionError
--@expected.message: all records have already been read
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
INSERT INTO s VALUES (1, 2);
ASSERT VALUES s (k, v) VALUES (1, 2);
ASSERT VALUES s (k, v) VALUES (1, 2);

--@test: a value where a tombstone is expected
--@expected.error: java.lang.AssertionError
--@expected.message: Expected record does not match actual.
CREATE TABLE s (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
INSERT INTO s VALUES (1, 2);
ASSERT NULL VALUES s (k) KEY (1);

--@test: another delimiter
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: Expected value format does not match actual for source S.
CREATE STREAM s (k INT KEY, v INT, w INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED', VALUE_DELIMITER=';');
ASSERT STREAM s (k INT KEY, v INT, w INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED', VALUE_DELIMITER='|');

--@test: no statement
ASSERT_ME_NOT
--@expected.error: io.confluent.ksql.parser.exception.ParseFailedException
--@expected.message: Syntax error

--@test: an unknown source
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: NOWHERE does not exist
ASSERT VALUES nowhere (k) VALUES (1);
