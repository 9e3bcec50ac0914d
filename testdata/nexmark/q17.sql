CREATE TABLE q17 WITH (KEY_FORMAT = 'JSON') AS
  SELECT auction, FORMAT_TIMESTAMP(date_time, 'yyyy-MM-dd') AS day,
         COUNT(*) AS total_bids,
         COUNT(CASE WHEN price < 10000 THEN 1 END) AS rank1_bids,
         COUNT(CASE WHEN price >= 10000 AND price < 1000000 THEN 1 END) AS rank2_bids,
         COUNT(CASE WHEN price >= 1000000 THEN 1 END) AS rank3_bids,
         MIN(price) AS min_price, MAX(price) AS max_price, AVG(price) AS avg_price, SUM(price) AS sum_price
  FROM bid GROUP BY auction, FORMAT_TIMESTAMP(date_time, 'yyyy-MM-dd');
SELECT * FROM q17;
