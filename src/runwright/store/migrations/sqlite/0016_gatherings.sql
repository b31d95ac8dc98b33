-- works with: 15
-- The runs that triggers may still join: debounced ones and batches.
CREATE TABLE gatherings (
    job_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    "key" TEXT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (job_id, kind, "key")
) WITHOUT ROWID;
