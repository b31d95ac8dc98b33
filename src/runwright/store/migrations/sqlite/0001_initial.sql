CREATE TABLE api_keys (
    key_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT,
    user_id TEXT,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    digest BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    rotated_to TEXT,
    PRIMARY KEY (key_id),
    CONSTRAINT api_keys_by_prefix UNIQUE (prefix)
);

CREATE INDEX api_keys_by_org ON api_keys (org_id, key_id);

CREATE TABLE attempts (
    run_id TEXT NOT NULL,
    lease_epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    executor TEXT NOT NULL,
    worker_id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    error_class TEXT,
    error TEXT,
    queue_wait_us BIGINT NOT NULL,
    PRIMARY KEY (run_id, lease_epoch)
)
 WITHOUT ROWID;

CREATE TABLE audit (
    org_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    data BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (org_id, number)
)
 WITHOUT ROWID;

CREATE TABLE held (
    limit_key TEXT NOT NULL,
    rank FLOAT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (limit_key, rank, run_id)
)
 WITHOUT ROWID;

CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    "key" TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    target TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scope, "key")
)
 WITHOUT ROWID;

CREATE INDEX idempotency_by_time ON idempotency (created_at);

CREATE TABLE inbox (
    entry INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    command BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (entry)
);

CREATE TABLE job_versions (
    job_version_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (job_version_id),
    CONSTRAINT job_versions_by_number UNIQUE (job_id, version)
);

CREATE TABLE jobs (
    job_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    version INTEGER NOT NULL,
    job_version_id TEXT NOT NULL,
    definition BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (job_id)
);

CREATE UNIQUE INDEX jobs_by_slug ON jobs (project_id, slug) WHERE deleted_at IS NULL;

CREATE TABLE keyring (
    name TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE leases (
    run_id TEXT NOT NULL,
    lease_epoch INTEGER NOT NULL,
    worker_id TEXT NOT NULL,
    until BIGINT NOT NULL,
    fence_at BIGINT,
    PRIMARY KEY (run_id)
)
 WITHOUT ROWID;

CREATE INDEX leases_to_fence ON leases (fence_at) WHERE fence_at IS NOT NULL;

CREATE TABLE limits (
    limit_key TEXT NOT NULL,
    used INTEGER NOT NULL,
    max INTEGER NOT NULL,
    PRIMARY KEY (limit_key)
)
 WITHOUT ROWID;

CREATE TABLE organizations (
    org_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org_id),
    CONSTRAINT organizations_by_slug UNIQUE (slug)
);

CREATE TABLE outbox (
    entry INTEGER NOT NULL,
    topic TEXT NOT NULL,
    run_id TEXT NOT NULL,
    data BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (entry)
);

CREATE INDEX outbox_by_topic ON outbox (topic, entry);

CREATE TABLE projects (
    project_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    weight FLOAT NOT NULL,
    max_concurrency INTEGER,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project_id),
    CONSTRAINT projects_by_slug UNIQUE (org_id, slug)
);

CREATE TABLE ready (
    queue TEXT NOT NULL,
    rank FLOAT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (queue, rank, run_id)
)
 WITHOUT ROWID;

CREATE TABLE run_events (
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    level TEXT NOT NULL,
    actor TEXT NOT NULL,
    message TEXT NOT NULL,
    data BLOB,
    salt BLOB,
    lease_epoch INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    hash BLOB NOT NULL,
    usage BLOB,
    PRIMARY KEY (run_id, seq)
)
 WITHOUT ROWID;

CREATE TABLE run_heads (
    run_id TEXT NOT NULL,
    state TEXT NOT NULL,
    lease_epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    at BIGINT NOT NULL,
    rank FLOAT,
    held_by TEXT,
    PRIMARY KEY (run_id)
)
 WITHOUT ROWID;

CREATE TABLE run_values (
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    "key" TEXT NOT NULL,
    sealed BLOB,
    artifact TEXT,
    note BLOB,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, kind, "key")
);

CREATE TABLE runs (
    run_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    job_id TEXT,
    batch_id TEXT,
    parent_run_id TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    attempt INTEGER NOT NULL,
    lease_epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    at BIGINT NOT NULL,
    since_at BIGINT NOT NULL,
    due_at BIGINT,
    expires_at BIGINT,
    started_at BIGINT,
    worker_id TEXT,
    finished_at BIGINT,
    cancel_requested_at BIGINT,
    pause_requested_at BIGINT,
    paused BLOB,
    error TEXT,
    error_class TEXT,
    tally BLOB,
    queue_wait_us BIGINT NOT NULL,
    queued_us BIGINT NOT NULL,
    active_us BIGINT NOT NULL,
    waiting_us BIGINT NOT NULL,
    dead_lettered_at BIGINT,
    dead_letter_left_at BIGINT,
    replayed_as TEXT,
    opening BLOB NOT NULL,
    payload BLOB,
    result BLOB,
    PRIMARY KEY (run_id)
);

CREATE INDEX runs_by_batch ON runs (batch_id, run_id) WHERE batch_id IS NOT NULL;

CREATE INDEX runs_by_job ON runs (job_id, run_id);

CREATE INDEX runs_by_parent ON runs (parent_run_id, run_id) WHERE parent_run_id IS NOT NULL;

CREATE INDEX runs_by_project ON runs (project_id, run_id);

CREATE INDEX runs_dead ON runs (project_id, run_id) WHERE dead_lettered_at IS NOT NULL AND dead_letter_left_at IS NULL;

CREATE INDEX runs_unhappy ON runs (project_id, state, run_id) WHERE state IN ('failed', 'cancelled', 'expired');

CREATE TABLE timers (
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (run_id, name)
)
 WITHOUT ROWID;

CREATE INDEX timers_by_time ON timers (at, run_id, name);

CREATE TABLE turns (
    queue TEXT NOT NULL,
    project_id TEXT NOT NULL,
    last_turn FLOAT NOT NULL,
    PRIMARY KEY (queue, project_id)
)
 WITHOUT ROWID;

CREATE TABLE users (
    user_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id),
    CONSTRAINT users_by_name UNIQUE (org_id, name)
);
