-- works with: 16
-- When the runs of a job with a rate entered their queues.
CREATE TABLE job_rates (
    job_id TEXT COLLATE "C" NOT NULL,
    instants BYTEA NOT NULL,
    PRIMARY KEY (job_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
