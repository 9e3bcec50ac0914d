CREATE STREAM q21 AS
  SELECT auction, bidder, price, channel,
         CASE LCASE(channel) WHEN 'apple' THEN '0' WHEN 'google' THEN '1' WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3'
              ELSE URL_EXTRACT_PARAMETER(url, 'channel_id') END AS channel_id
  FROM bid
  WHERE URL_EXTRACT_PARAMETER(url, 'channel_id') IS NOT NULL OR LCASE(channel) IN ('apple', 'google', 'facebook', 'baidu');
SELECT * FROM q21;
