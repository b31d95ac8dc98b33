-- works with: 9
-- What runs of one job need of the runs of another, and the key by which they find each other.
ALTER TABLE runs ADD COLUMN dependency_key TEXT COLLATE "C";

CREATE INDEX runs_by_dependency_key ON runs (job_id, dependency_key, run_id) WHERE dependency_key IS NOT NULL;

CREATE INDEX runs_depending ON runs (job_id, run_id) WHERE state = 'waiting' AND reason = 'dependency';

CREATE TABLE job_dependencies (
    dependency_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    job_id TEXT COLLATE "C" NOT NULL,
    depends_on_job_id TEXT COLLATE "C" NOT NULL,
    condition TEXT COLLATE "C" NOT NULL,
    on_miss TEXT COLLATE "C" NOT NULL,
    max_age_secs INTEGER,
    timeout_secs INTEGER,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (dependency_id),
    CONSTRAINT job_dependencies_by_pair UNIQUE (job_id, depends_on_job_id)
);

CREATE INDEX job_dependencies_by_project ON job_dependencies (project_id, dependency_id);

CREATE INDEX job_dependencies_by_upstream ON job_dependencies (depends_on_job_id);
