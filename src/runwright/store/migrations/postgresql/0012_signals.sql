-- works with: 11
-- Who waits for which event, events that nobody waited for yet, and the jobs that events start.
CREATE TABLE job_triggers (
    project_id TEXT COLLATE "C" NOT NULL,
    by_prefix INTEGER NOT NULL,
    pattern TEXT COLLATE "C" NOT NULL,
    job_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project_id, by_prefix, pattern, job_id)
);

CREATE INDEX job_triggers_by_job ON job_triggers (job_id);

CREATE TABLE kept_signals (
    signal_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    event_key TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (signal_id)
);

CREATE INDEX kept_signals_by_key ON kept_signals (project_id, event_key, signal_id);

CREATE INDEX kept_signals_by_time ON kept_signals (created_at);

CREATE TABLE signal_waits (
    project_id TEXT COLLATE "C" NOT NULL,
    event_key TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project_id, event_key, run_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
