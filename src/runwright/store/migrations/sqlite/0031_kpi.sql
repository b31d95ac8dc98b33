-- works with: 30
-- What ended runs add to the KPIs, one by one and added up.
CREATE TABLE kpi_runs (
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    ended_at BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    mode TEXT,
    repo TEXT,
    model TEXT,
    facts BLOB NOT NULL,
    PRIMARY KEY (org_id, ended_at, run_id)
)
 WITHOUT ROWID;

CREATE INDEX kpi_runs_by_project ON kpi_runs (project_id, ended_at, run_id);

CREATE TABLE kpi_sums (
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    dimension TEXT NOT NULL,
    grain TEXT NOT NULL,
    at BIGINT NOT NULL,
    label TEXT NOT NULL,
    sums BLOB NOT NULL,
    PRIMARY KEY (org_id, project_id, dimension, grain, at, label)
)
 WITHOUT ROWID;

CREATE INDEX kpi_sums_by_time ON kpi_sums (grain, at);
