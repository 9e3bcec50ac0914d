CREATE TABLE q7 AS
  SELECT 1 AS one, MAX(price) AS price, TOPK(price, auction, bidder, date_time, 1) AS top
  FROM bid WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY 1;
SELECT top[1]->`col0` AS auction, top[1]->`sort_col` AS price, top[1]->`col1` AS bidder, top[1]->`col2` AS date_time FROM q7;
