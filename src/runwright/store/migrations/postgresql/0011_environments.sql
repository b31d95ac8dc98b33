-- works with: 10
-- What the code of jobs is given beside its payload: variables, and secrets with every value that may still be printed.
CREATE TABLE environments (
    environment_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    variables BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (environment_id),
    CONSTRAINT environments_by_name UNIQUE (project_id, name)
);

CREATE INDEX environments_by_org ON environments (org_id, environment_id);

CREATE TABLE secret_heads (
    project_id TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (project_id)
);

CREATE TABLE secret_values (
    project_id TEXT COLLATE "C" NOT NULL,
    secret_id TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT,
    PRIMARY KEY (project_id, secret_id, version)
);

CREATE TABLE secrets (
    secret_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    environment_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (secret_id),
    CONSTRAINT secrets_by_name UNIQUE (project_id, environment_id, name)
);

CREATE INDEX secrets_by_org ON secrets (org_id, secret_id);
