-- works with: 23
-- When the runs of a job with a rate entered their queues.
CREATE TABLE job_rates (
    job_id TEXT NOT NULL,
    instants BLOB NOT NULL,
    PRIMARY KEY (job_id)
) WITHOUT ROWID;
