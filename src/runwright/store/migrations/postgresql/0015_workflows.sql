-- works with: 14
-- Workflows in versions that never change, and where their runs that go on are found.
CREATE INDEX runs_of_workflows ON runs (run_id) WHERE kind = 'workflow' AND state = 'waiting';

CREATE TABLE workflow_versions (
    workflow_version_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    workflow_id TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    definition BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (workflow_version_id),
    CONSTRAINT workflow_versions_by_number UNIQUE (workflow_id, version)
);

CREATE TABLE workflows (
    workflow_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    slug TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    workflow_version_id TEXT COLLATE "C" NOT NULL,
    definition BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (workflow_id)
);

CREATE UNIQUE INDEX workflows_by_slug ON workflows (project_id, slug) WHERE deleted_at IS NULL;
