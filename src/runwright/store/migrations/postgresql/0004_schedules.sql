-- works with: 3
-- When the jobs that have a cron expression fire next, and what their last fire made.
CREATE TABLE schedules (
    job_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    job_version_id TEXT COLLATE "C" NOT NULL,
    next_fire_at BIGINT,
    last_fired_at BIGINT,
    last_run_id TEXT COLLATE "C",
    PRIMARY KEY (job_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX schedules_by_time ON schedules (next_fire_at) WHERE next_fire_at IS NOT NULL;
