CREATE STREAM q3 AS
  SELECT a.seller, p.name AS name, p.city AS city, p.state AS state, a.id AS id
  FROM auction a JOIN person p WITHIN 1 DAY ON a.seller = p.id
  WHERE a.category = 10 AND p.state IN ('or', 'id', 'ca');
SELECT name, city, state, id FROM q3;
