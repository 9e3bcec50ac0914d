CREATE TABLE q4_closed AS
  SELECT a.id AS auction, LATEST_BY_OFFSET(a.category) AS category, MAX(b.price) AS price
  FROM bid b JOIN auction a WITHIN 1 DAY ON b.auction = a.id
  WHERE b.date_time BETWEEN a.date_time AND a.expires
  GROUP BY a.id;
CREATE TABLE q4 AS SELECT category, AVG(price) AS avg FROM q4_closed GROUP BY category;
SELECT * FROM q4;
