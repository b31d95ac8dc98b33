-- works with: 10
-- When the jobs that have a cron expression fire next, and what their last fire made.
CREATE TABLE schedules (
    job_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    job_version_id TEXT NOT NULL,
    next_fire_at BIGINT,
    last_fired_at BIGINT,
    last_run_id TEXT,
    PRIMARY KEY (job_id)
);

CREATE INDEX schedules_by_time ON schedules (next_fire_at) WHERE next_fire_at IS NOT NULL;
