CREATE STREAM q20 AS
  SELECT b.auction, b.bidder AS bidder, b.price AS price, b.channel AS channel, b.url AS url, b.date_time AS bid_date_time, b.extra AS bid_extra,
         a.item_name AS item_name, a.description AS description, a.initial_bid AS initial_bid, a.reserve AS reserve,
         a.date_time AS auction_date_time, a.expires AS expires, a.seller AS seller, a.category AS category, a.extra AS auction_extra
  FROM bid b JOIN auction a WITHIN 1 DAY ON b.auction = a.id WHERE a.category = 10;
SELECT auction, bidder, price, channel, url, bid_date_time, bid_extra, item_name, description, initial_bid, reserve, auction_date_time,
       expires, seller, category, auction_extra FROM q20;
