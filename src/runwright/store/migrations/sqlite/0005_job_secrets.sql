CREATE TABLE job_secrets (
    job_id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    previous BLOB,
    previous_until BIGINT,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (job_id)
);
