-- works with: 14
-- What was done to many runs at once, and what was changed of a run since it was made.
CREATE TABLE batch_operations (
    batch_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT,
    job_id TEXT,
    verb TEXT NOT NULL,
    item_count INTEGER NOT NULL,
    created_count INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    results BLOB NOT NULL,
    PRIMARY KEY (batch_id)
);

CREATE INDEX batch_operations_by_org ON batch_operations (org_id, batch_id);
CREATE INDEX batch_operations_by_project ON batch_operations (project_id, batch_id) WHERE project_id IS NOT NULL;
ALTER TABLE runs ADD COLUMN amended BLOB;
