-- works with: 22
-- What the runs of a job keep for each other.
CREATE TABLE job_memory (
    job_id TEXT NOT NULL,
    memory_key TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    size INTEGER NOT NULL,
    expires_at BIGINT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (job_id, memory_key)
) WITHOUT ROWID;

CREATE INDEX job_memory_by_expiry ON job_memory (expires_at) WHERE expires_at IS NOT NULL;

CREATE INDEX job_memory_by_run ON job_memory (run_id);
