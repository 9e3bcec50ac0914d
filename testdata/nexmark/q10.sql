CREATE STREAM q10 AS
  SELECT auction, bidder, price, date_time, FORMAT_TIMESTAMP(date_time, 'yyyy-MM-dd') AS date, FORMAT_TIMESTAMP(date_time, 'hh:mm') AS time FROM bid;
SELECT * FROM q10;
