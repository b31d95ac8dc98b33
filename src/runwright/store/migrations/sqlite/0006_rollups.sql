-- Ends of runs added up by minute and hour, and how many runs of a project are in each live state.
CREATE TABLE rollups (
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    grain TEXT NOT NULL,
    at BIGINT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (org_id, project_id, job_id, grain, at)
)
 WITHOUT ROWID;

CREATE INDEX rollups_by_time ON rollups (grain, at);

CREATE TABLE depths (
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    state TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (org_id, project_id, state)
)
 WITHOUT ROWID;

INSERT INTO depths (org_id, project_id, state, count)
SELECT runs.org_id, runs.project_id, run_heads.state, count(*)
FROM run_heads JOIN runs USING (run_id) GROUP BY 1, 2, 3;
