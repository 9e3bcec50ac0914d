CREATE TABLE q106_final AS
  SELECT a.id AS auction, MAX(b.price) AS price
  FROM bid b JOIN auction a WITHIN 1 DAY ON b.auction = a.id
  WHERE b.date_time BETWEEN a.date_time AND a.expires GROUP BY a.id;
CREATE TABLE q106 AS SELECT 1 AS one, HISTOGRAM(CAST(price AS STRING)) AS finals FROM q106_final GROUP BY 1;
SELECT ARRAY_MIN(TRANSFORM(MAP_KEYS(finals), p => CAST(p AS BIGINT))) AS min_final FROM q106;
