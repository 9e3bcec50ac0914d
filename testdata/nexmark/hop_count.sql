CREATE TABLE hop_count AS SELECT auction, COUNT(*) AS num FROM bid WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 2 SECONDS) GROUP BY auction;
SELECT auction, windowstart AS window_start, windowend AS window_end, num FROM hop_count;
