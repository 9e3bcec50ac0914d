CREATE STREAM q0 AS SELECT auction, bidder, price, date_time FROM bid;
SELECT * FROM q0;
