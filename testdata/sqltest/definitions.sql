-- What may be defined, dropped and inserted, and what is refused.

--@test: a stream that others read stays
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: A is read by B
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
DROP STREAM a;

--@test: a dropped stream takes its own query with it
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
DROP STREAM b;
DROP STREAM a;
CREATE STREAM a (k INT KEY, w STRING) WITH (KAFKA_TOPIC='a2', VALUE_FORMAT='JSON');
INSERT INTO a VALUES (1, 'x');
ASSERT VALUES a (k, w) VALUES (1, 'x');

--@test: a stream that another query writes stays
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: B is written
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
INSERT INTO b SELECT k, v + 1 AS v FROM a;
DROP STREAM b;

--@test: after its writers have ended it goes
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
INSERT INTO b SELECT k, v FROM a; -- the same rows: which query writes first is open
INSERT INTO a VALUES (1, 1);
ASSERT VALUES b (k, v) VALUES (1, 1);
ASSERT VALUES b (k, v) VALUES (1, 1);
TERMINATE ALL;
DROP STREAM b DELETE TOPIC;
CREATE STREAM b (k INT KEY, v INT) WITH (KAFKA_TOPIC='B', VALUE_FORMAT='JSON', PARTITIONS=1);
INSERT INTO b VALUES (5, 5);
ASSERT VALUES b (k, v) VALUES (5, 5);

--@test: what is paused goes on where it was
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE TABLE n AS SELECT k, COUNT(*) AS n FROM a GROUP BY k;
INSERT INTO a VALUES (1, 1);
ASSERT VALUES n (k, n) VALUES (1, 1);
PAUSE ALL;
INSERT INTO a VALUES (1, 2);
RESUME ALL;
INSERT INTO a VALUES (1, 3);
ASSERT VALUES n (k, n) VALUES (1, 2);
ASSERT VALUES n (k, n) VALUES (1, 3);

--@test: a stream is no table
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: A
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
DROP TABLE a;

--@test: nothing is inserted into what a query can't take
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: T
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE TABLE t (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');
INSERT INTO t SELECT * FROM a;

--@test: numbers widen on their way into a stream
CREATE STREAM a (k INT KEY, v INT, w BIGINT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b (k INT KEY, v BIGINT, w DECIMAL(20, 2), x DOUBLE) WITH (KAFKA_TOPIC='b', VALUE_FORMAT='JSON');
INSERT INTO b SELECT k, v, w, v AS x FROM a;
INSERT INTO a VALUES (1, 2, 3);
ASSERT VALUES b (k, v, w, x) VALUES (1, 2, 3.00, 2.0);

--@test: they do not narrow
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: schema of V
CREATE STREAM a (k INT KEY, v BIGINT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b (k INT KEY, v INT) WITH (KAFKA_TOPIC='b', VALUE_FORMAT='JSON');
INSERT INTO b SELECT k, v FROM a;

--@test: a source stream is only read
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: A
CREATE SOURCE STREAM a (k INT KEY, v BIGINT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
INSERT INTO a VALUES (1, 2);

--@test: a source table keeps what is on its topic
CREATE TABLE t (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');
CREATE SOURCE TABLE st (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');
CREATE TABLE u AS SELECT k, v * 2 AS v FROM st;
INSERT INTO t VALUES (1, 2);
ASSERT VALUES u (k, v) VALUES (1, 4);
DROP TABLE u;
DROP TABLE st;
DROP TABLE t;

--@test: the topic of a source table is not deleted
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: ST
CREATE SOURCE TABLE st (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');
DROP TABLE st DELETE TOPIC;

--@test: a type is used by name, within others too
CREATE TYPE point AS STRUCT<x INT, y INT>;
CREATE TYPE line AS STRUCT<a point, b point>;
CREATE STREAM s (k INT KEY, l line, ps ARRAY<point>) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
CREATE STREAM o AS SELECT k, l->a->x + l->b->y AS n, ps[1]->y AS y FROM s;
INSERT INTO s (k, l, ps) VALUES (1, STRUCT(a := STRUCT(x := 1, y := 2), b := STRUCT(x := 3, y := 4)), ARRAY[STRUCT(x := 5, y := 6)]);
ASSERT VALUES o (k, n, y) VALUES (1, 5, 6);
DROP TYPE point;

--@test: a dropped type is gone
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: POINT is not there
CREATE TYPE point AS STRUCT<x INT, y INT>;
DROP TYPE point;
CREATE STREAM s (k INT KEY, p point) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
