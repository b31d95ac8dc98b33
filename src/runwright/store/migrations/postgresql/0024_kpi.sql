-- works with: 23
-- What ended runs add to the KPIs, one by one and added up.
CREATE TABLE kpi_runs (
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    ended_at BIGINT NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    mode TEXT COLLATE "C",
    repo TEXT COLLATE "C",
    model TEXT COLLATE "C",
    facts BYTEA NOT NULL,
    PRIMARY KEY (org_id, ended_at, run_id)
);

CREATE INDEX kpi_runs_by_project ON kpi_runs (project_id, ended_at, run_id);

CREATE TABLE kpi_sums (
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    dimension TEXT COLLATE "C" NOT NULL,
    grain TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    sums BYTEA NOT NULL,
    PRIMARY KEY (org_id, project_id, dimension, grain, at, label)
);

CREATE INDEX kpi_sums_by_time ON kpi_sums (grain, at);
