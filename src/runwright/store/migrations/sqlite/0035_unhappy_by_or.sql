-- works with: 34
-- The same runs in other words: for a list of three, SQLite builds a table each time that it looks whether a row belongs.
DROP INDEX runs_unhappy;
CREATE INDEX runs_unhappy ON runs (project_id, state, run_id) WHERE state = 'failed' OR state = 'cancelled' OR state = 'expired';
