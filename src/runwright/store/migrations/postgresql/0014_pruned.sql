-- works with: 13
-- Runs whose log was taken away by retention: since when, and the way to the root in the audit log that proves it.
ALTER TABLE runs ADD COLUMN pruned_at BIGINT;

ALTER TABLE runs ADD COLUMN pruned_way BYTEA;

CREATE INDEX runs_pruned ON runs (finished_at) WHERE pruned_at IS NOT NULL;

CREATE INDEX runs_to_prune ON runs (finished_at) WHERE finished_at IS NOT NULL AND pruned_at IS NULL;
