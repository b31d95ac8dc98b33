-- works with: 19
-- The first run of those that continue each other.
ALTER TABLE runs ADD COLUMN lineage_root TEXT;

CREATE INDEX runs_by_lineage ON runs (lineage_root, run_id) WHERE lineage_root IS NOT NULL;
