-- Who uploaded which bytes; and the way from a file to the rows that name it.
CREATE TABLE artifacts (
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (org_id, project_id, digest)
)
 WITHOUT ROWID;

CREATE INDEX artifacts_by_digest ON artifacts (digest);

CREATE INDEX run_values_by_artifact ON run_values (artifact) WHERE artifact IS NOT NULL;
