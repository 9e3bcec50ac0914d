CREATE STREAM q23 AS
  SELECT b.bidder, b.price AS price, b.date_time AS date_time, p.name AS name, a.id AS auction_id
  FROM bid b JOIN person p WITHIN 1 DAY ON b.bidder = p.id JOIN auction a WITHIN 1 DAY ON b.bidder = a.seller;
SELECT bidder, price, date_time, name, auction_id FROM q23;
