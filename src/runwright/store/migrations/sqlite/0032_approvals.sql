-- works with: 31
-- What runs ask people to allow, and what became of it: the fold of their logs.
CREATE TABLE approvals (
    checkpoint_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    status TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_at BIGINT,
    checkpoint BLOB NOT NULL,
    PRIMARY KEY (checkpoint_id)
)
 WITHOUT ROWID;

CREATE INDEX approvals_by_org ON approvals (org_id, checkpoint_id);

CREATE INDEX approvals_by_project ON approvals (project_id, checkpoint_id);

CREATE INDEX approvals_by_run ON approvals (run_id, checkpoint_id);

CREATE INDEX approvals_pending ON approvals (org_id, checkpoint_id) WHERE status = 'pending';
