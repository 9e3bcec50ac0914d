-- The tour: real flights, live. Each statement is introduced by the comment
-- above it; `ksh demo` shows both.

-- Flights as they happen, keyed by origin; event time comes from the date column.
CREATE STREAM flights (
  origin STRING KEY,
  date STRING,
  delay INT,
  distance INT,
  destination STRING
) WITH (
  KAFKA_TOPIC = 'flights', PARTITIONS = 4, VALUE_FORMAT = 'JSON',
  TIMESTAMP = 'date', TIMESTAMP_FORMAT = 'yyyy/MM/dd HH:mm'
);

-- Airports as a table. Its rows are stamped 0: they hold from the beginning of time, so every flight finds its airport.
CREATE TABLE airports (
  iata STRING PRIMARY KEY,
  name STRING,
  city STRING,
  state STRING
) WITH (KAFKA_TOPIC = 'airports', PARTITIONS = 4, VALUE_FORMAT = 'JSON');

-- A running summary for each origin, kept up to date for as long as the server runs.
CREATE TABLE delays_by_origin AS
  SELECT origin,
         COUNT(*) AS flights,
         SUM(delay) AS total_delay,
         MAX(delay) AS worst_delay,
         MIN(distance) AS shortest
  FROM flights
  GROUP BY origin
  EMIT CHANGES;

-- Late flights, each with the state it left from: a stream joined to a table.
CREATE STREAM late_flights AS
  SELECT f.origin AS origin, a.state AS state, f.delay AS delay
  FROM flights f
  JOIN airports a ON f.origin = a.iata
  WHERE f.delay > 60
  EMIT CHANGES;

-- The late flights counted by state: queries read what other queries write.
CREATE TABLE late_by_state AS
  SELECT state, COUNT(*) AS flights, SUM(delay) AS total_delay
  FROM late_flights
  GROUP BY state
  EMIT CHANGES;

-- Flights of each origin and day: a tumbling window over event time.
CREATE TABLE flights_by_day AS
  SELECT origin, COUNT(*) AS flights
  FROM flights
  WINDOW TUMBLING (SIZE 1 DAY)
  GROUP BY origin
  EMIT CHANGES;
