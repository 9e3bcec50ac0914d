-- The benchmark's one topic of events in time order, and its three streams.
CREATE STREAM events (
  ts_ms BIGINT,
  event_type INT,
  person STRUCT<id BIGINT, name STRING, email_address STRING, credit_card STRING, city STRING, state STRING, date_time STRING, extra STRING>,
  auction STRUCT<id BIGINT, item_name STRING, description STRING, initial_bid BIGINT, reserve BIGINT, date_time STRING, expires STRING, seller BIGINT, category BIGINT, extra STRING>,
  bid STRUCT<auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, date_time STRING, extra STRING>
) WITH (KAFKA_TOPIC = 'events', PARTITIONS = 4, VALUE_FORMAT = 'JSON', TIMESTAMP = 'ts_ms');

CREATE STREAM person AS
  SELECT person->id AS id, person->name AS name, person->city AS city, person->state AS state,
         PARSE_TIMESTAMP(person->date_time, 'yyyy-MM-dd HH:mm:ss[.SSS]') AS date_time
  FROM events WHERE event_type = 0 PARTITION BY person->id;

CREATE STREAM auction AS
  SELECT auction->id AS id, auction->item_name AS item_name, auction->description AS description, auction->initial_bid AS initial_bid,
         auction->reserve AS reserve, PARSE_TIMESTAMP(auction->date_time, 'yyyy-MM-dd HH:mm:ss[.SSS]') AS date_time,
         PARSE_TIMESTAMP(auction->expires, 'yyyy-MM-dd HH:mm:ss[.SSS]') AS expires, auction->seller AS seller,
         auction->category AS category, auction->extra AS extra
  FROM events WHERE event_type = 1 PARTITION BY auction->id;

CREATE STREAM bid AS
  SELECT bid->auction AS auction, bid->bidder AS bidder, bid->price AS price, bid->channel AS channel, bid->url AS url,
         PARSE_TIMESTAMP(bid->date_time, 'yyyy-MM-dd HH:mm:ss[.SSS]') AS date_time, bid->extra AS extra
  FROM events WHERE event_type = 2 PARTITION BY bid->auction;
