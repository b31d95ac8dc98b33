-- works with: 20
-- A project may have the logs of its ended runs go earlier than the server's settings say.
ALTER TABLE projects ADD COLUMN retention_days FLOAT;
CREATE INDEX runs_to_thin ON runs (project_id, finished_at) WHERE finished_at IS NOT NULL AND pruned_at IS NULL;
DROP INDEX runs_to_prune;
