CREATE STREAM q14 AS
  SELECT auction, bidder, 0.908 * price AS price,
         CASE WHEN CAST(FORMAT_TIMESTAMP(date_time, 'H') AS INT) BETWEEN 8 AND 18 THEN 'dayTime'
              WHEN CAST(FORMAT_TIMESTAMP(date_time, 'H') AS INT) <= 6 OR CAST(FORMAT_TIMESTAMP(date_time, 'H') AS INT) >= 20 THEN 'nightTime'
              ELSE 'otherTime' END AS bidtimetype,
         date_time, LEN(extra) - LEN(REPLACE(extra, 'c', '')) AS c_counts
  FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000;
SELECT * FROM q14;
