CREATE TABLE q105_bids AS SELECT auction, COUNT(*) AS bid_count FROM bid GROUP BY auction;
CREATE TABLE q105_auctions AS SELECT id, LATEST_BY_OFFSET(item_name) AS item_name FROM auction GROUP BY id;
CREATE TABLE q105 AS SELECT a.id AS auction_id, a.item_name AS auction_item_name, b.bid_count AS bid_count FROM q105_auctions a JOIN q105_bids b ON a.id = b.auction;
SELECT * FROM q105;
