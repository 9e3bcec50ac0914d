CREATE TABLE q11 AS SELECT bidder, COUNT(*) AS bid_count FROM bid WINDOW SESSION (9999 MILLISECONDS) GROUP BY bidder;
SELECT bidder, bid_count, windowstart AS starttime, FROM_UNIXTIME(windowend + 10000) AS endtime FROM q11;
