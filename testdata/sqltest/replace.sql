-- Tests in ksqlDB's test dialect: what CREATE OR REPLACE and ALTER keep.

--@test: a replaced aggregation keeps its counts
CREATE STREAM shots (player STRING KEY, hit BOOLEAN, far INT) WITH (KAFKA_TOPIC='shots', VALUE_FORMAT='JSON');
CREATE TABLE score AS SELECT player, COUNT(*) AS n, SUM(far) AS far FROM shots WHERE hit GROUP BY player;

INSERT INTO shots (player, hit, far) VALUES ('ann', TRUE, 3);
INSERT INTO shots (player, hit, far) VALUES ('ann', FALSE, 9);
ASSERT VALUES score (player, n, far) VALUES ('ann', 1, 3);

CREATE OR REPLACE TABLE score AS SELECT player, COUNT(*) AS n, SUM(far) AS far FROM shots WHERE hit AND far > 2 GROUP BY player;

INSERT INTO shots (player, hit, far) VALUES ('ann', TRUE, 2);
INSERT INTO shots (player, hit, far) VALUES ('ann', TRUE, 4);
ASSERT VALUES score (player, n, far) VALUES ('ann', 2, 7);

--@test: a replaced projection goes on where it was
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT k, v FROM a;
INSERT INTO a VALUES (1, 10);
CREATE OR REPLACE STREAM b AS SELECT k, v, v * 2 AS twice FROM a;
INSERT INTO a VALUES (2, 20);
ASSERT VALUES b (k, v) VALUES (1, 10);
ASSERT VALUES b (k, v, twice) VALUES (2, 20, 40);

--@test: columns are added to a table, and taken from rows that come then
CREATE TABLE a (k INT PRIMARY KEY, v INT, w STRING) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE TABLE b AS SELECT k, v FROM a;
INSERT INTO a VALUES (1, 10, 'x');
ASSERT VALUES b (k, v) VALUES (1, 10);
CREATE OR REPLACE TABLE b AS SELECT k, v, w, v * 2 AS twice FROM a;
INSERT INTO a VALUES (2, 20, 'y');
ASSERT VALUES b (k, v, w, twice) VALUES (2, 20, 'y', 40);
CREATE TABLE c AS SELECT * FROM b;
ASSERT TABLE c (k INT PRIMARY KEY, v INT, w STRING, twice INT) WITH (KAFKA_TOPIC='C', VALUE_FORMAT='JSON');

--@test: a replaced join keeps both its tables
CREATE TABLE l (id INT PRIMARY KEY, fk INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON');
CREATE TABLE r (id INT PRIMARY KEY, v STRING) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON');
CREATE TABLE j AS SELECT l.id AS id, v FROM l JOIN r ON fk = r.id;
INSERT INTO l VALUES (1, 7);
INSERT INTO r VALUES (7, 'x');
ASSERT VALUES j (id, v) VALUES (1, 'x');
CREATE OR REPLACE TABLE j AS SELECT l.id AS id, v FROM l JOIN r ON fk = r.id WHERE v <> 'z';
INSERT INTO r VALUES (7, 'y');
ASSERT VALUES j (id, v) VALUES (1, 'y');
INSERT INTO r VALUES (7, 'z');
ASSERT NULL VALUES j (id) KEY (1);

--@test: a column is added to a stream that a query reads
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
ALTER STREAM a ADD COLUMN w STRING, ADD COLUMN d DECIMAL(4, 2);
CREATE STREAM b AS SELECT * FROM a;
INSERT INTO a (k, v, w, d) VALUES (1, 2, 'x', 1.50);
ASSERT VALUES b (k, v, w, d) VALUES (1, 2, 'x', 1.50);
ASSERT STREAM b (k INT KEY, v INT, w STRING, d DECIMAL(4, 2)) WITH (KAFKA_TOPIC='B', VALUE_FORMAT='JSON');

--@test: replacing is switched off
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: cannot replace B
SET 'ksql.create.or.replace.enabled' = 'false';
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
CREATE OR REPLACE STREAM b AS SELECT * FROM a;

--@test: and on again
SET 'ksql.create.or.replace.enabled' = 'false';
UNSET 'ksql.create.or.replace.enabled';
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
CREATE OR REPLACE STREAM b AS SELECT * FROM a WHERE v > 0;

--@test: a column can't go
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: missing: V
CREATE STREAM a (k INT KEY, v INT, w INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT k, v, w FROM a;
CREATE OR REPLACE STREAM b AS SELECT k, w FROM a;

--@test: an aggregate can't become another
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: upgrade of B
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE TABLE b AS SELECT k, SUM(v) AS s FROM a GROUP BY k;
CREATE OR REPLACE TABLE b AS SELECT k, MAX(v) AS s FROM a GROUP BY k;

--@test: a windowed aggregation can't change
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: upgrade of B
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE TABLE b AS SELECT k, SUM(v) AS s FROM a WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY k;
CREATE OR REPLACE TABLE b AS SELECT k, SUM(v) AS s FROM a WINDOW TUMBLING (SIZE 1 HOUR) WHERE v > 0 GROUP BY k;

--@test: a table whose query was terminated gets another
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b WITH (KAFKA_TOPIC='b') AS SELECT k, v FROM a;
INSERT INTO a VALUES (1, 1);
ASSERT VALUES b (k, v) VALUES (1, 1);
TERMINATE ALL;
INSERT INTO a VALUES (2, 2);
CREATE OR REPLACE STREAM b WITH (KAFKA_TOPIC='b') AS SELECT k, v, v + 1 AS w FROM a;
ASSERT VALUES b (k, v, w) VALUES (1, 1, 2);
ASSERT VALUES b (k, v, w) VALUES (2, 2, 3);

--@test: a column is added all along a chain
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
CREATE STREAM c AS SELECT * FROM b;
INSERT INTO a VALUES (1, 1);
ALTER STREAM a ADD COLUMN w STRING;
CREATE OR REPLACE STREAM b AS SELECT * FROM a;
CREATE OR REPLACE STREAM c AS SELECT * FROM b WHERE v > 1;
INSERT INTO a VALUES (1, 2, 'x');
INSERT INTO a VALUES (1, 0, 'y');
ASSERT VALUES c (k, v) VALUES (1, 1);
ASSERT VALUES c (k, v, w) VALUES (1, 2, 'x');
ASSERT STREAM c (k INT KEY, v INT, w STRING) WITH (KAFKA_TOPIC='C', VALUE_FORMAT='JSON');

--@test: in a format with schemas too
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='AVRO');
CREATE STREAM b AS SELECT * FROM a;
INSERT INTO a VALUES (1, 1);
CREATE OR REPLACE STREAM a (k INT KEY, v INT, w STRING) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='AVRO');
CREATE OR REPLACE STREAM b AS SELECT k, v, w FROM a WHERE v > 1;
INSERT INTO a VALUES (1, 0, 'x');
INSERT INTO a VALUES (1, 2, 'y');
ASSERT VALUES b (k, v) VALUES (1, 1);
ASSERT VALUES b (k, v, w) VALUES (1, 2, 'y');
ASSERT STREAM b (k INT KEY, v INT, w STRING) WITH (KAFKA_TOPIC='B', VALUE_FORMAT='AVRO');

--@test: a stream does not become a table
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: upgrade of B
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
CREATE OR REPLACE TABLE b AS SELECT k, COUNT(*) AS n FROM a GROUP BY k;

--@test: nor is it filled from another
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: upgrade of B from A2
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM a2 (k INT KEY, v INT) WITH (KAFKA_TOPIC='a2', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
CREATE OR REPLACE STREAM b AS SELECT * FROM a2;

--@test: nor written in another format
--@expected.error: io.confluent.ksql.util.KsqlException
--@expected.message: upgrade of B
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
CREATE STREAM b AS SELECT * FROM a;
CREATE OR REPLACE STREAM b WITH (VALUE_FORMAT='AVRO') AS SELECT * FROM a;

--@test: an altered stream is written with its new columns, by a schema that has them
CREATE STREAM a (k INT KEY, v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='AVRO');
CREATE STREAM p (k INT KEY, v INT) WITH (KAFKA_TOPIC='p', VALUE_FORMAT='PROTOBUF');
INSERT INTO a VALUES (1, 1);
INSERT INTO p VALUES (1, 1);
ALTER STREAM a ADD COLUMN w STRING;
ALTER STREAM p ADD COLUMN w STRING;
INSERT INTO a VALUES (1, 2, 'y');
INSERT INTO p VALUES (1, 2, 'y');
CREATE STREAM b AS SELECT * FROM a;
CREATE STREAM q AS SELECT * FROM p;
ASSERT VALUES b (k, v, w) VALUES (1, 1, NULL);
ASSERT VALUES b (k, v, w) VALUES (1, 2, 'y');
ASSERT VALUES q (k, v) VALUES (1, 1);
ASSERT VALUES q (k, v, w) VALUES (1, 2, 'y');
