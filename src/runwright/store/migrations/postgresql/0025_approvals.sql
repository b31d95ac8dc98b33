-- works with: 24
-- What runs ask people to allow, and what became of it: the fold of their logs.
CREATE TABLE approvals (
    checkpoint_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    requested_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_at BIGINT,
    checkpoint BYTEA NOT NULL,
    PRIMARY KEY (checkpoint_id)
);

CREATE INDEX approvals_by_org ON approvals (org_id, checkpoint_id);

CREATE INDEX approvals_by_project ON approvals (project_id, checkpoint_id);

CREATE INDEX approvals_by_run ON approvals (run_id, checkpoint_id);

CREATE INDEX approvals_pending ON approvals (org_id, checkpoint_id) WHERE status = 'pending';
