CREATE TABLE tumble_count AS SELECT auction, COUNT(*) AS num FROM bid WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY auction;
SELECT auction, windowstart AS window_start, windowend AS window_end, num FROM tumble_count;
