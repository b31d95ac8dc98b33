-- works with: 17
-- What the code of jobs is given beside its payload: variables, and secrets with every value that may still be printed.
CREATE TABLE environments (
    environment_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    variables BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (environment_id),
    CONSTRAINT environments_by_name UNIQUE (project_id, name)
);

CREATE INDEX environments_by_org ON environments (org_id, environment_id);

CREATE TABLE secret_heads (
    project_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (project_id)
)
 WITHOUT ROWID;

CREATE TABLE secret_values (
    project_id TEXT NOT NULL,
    secret_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT,
    PRIMARY KEY (project_id, secret_id, version)
)
 WITHOUT ROWID;

CREATE TABLE secrets (
    secret_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (secret_id),
    CONSTRAINT secrets_by_name UNIQUE (project_id, environment_id, name)
);

CREATE INDEX secrets_by_org ON secrets (org_id, secret_id);
