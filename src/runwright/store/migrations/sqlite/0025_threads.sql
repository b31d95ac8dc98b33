-- works with: 24
-- Threads, their messages and runs, personas, routes, providers; every project has the persona default and the route local.
CREATE TABLE busy_threads (
    thread_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    PRIMARY KEY (thread_id)
)
 WITHOUT ROWID;

CREATE TABLE enqueued_runs (
    thread_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    message_id TEXT,
    sealed BLOB,
    created_by TEXT NOT NULL,
    PRIMARY KEY (thread_id, run_id)
)
 WITHOUT ROWID;

CREATE TABLE messages (
    thread_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    role TEXT NOT NULL,
    sealed BLOB NOT NULL,
    hidden INTEGER NOT NULL,
    run_id TEXT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (thread_id, seq),
    CONSTRAINT messages_by_id UNIQUE (message_id)
);

CREATE TABLE pending_inputs (
    run_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    asked BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (run_id)
)
 WITHOUT ROWID;

CREATE INDEX pending_inputs_by_org ON pending_inputs (org_id, run_id);

CREATE INDEX pending_inputs_by_project ON pending_inputs (project_id, run_id);

CREATE TABLE personas (
    persona_version_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    "key" TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (persona_version_id),
    CONSTRAINT personas_by_key UNIQUE (project_id, "key", version)
);

CREATE INDEX personas_by_org ON personas (org_id, persona_version_id);

CREATE TABLE providers (
    provider_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    base_url TEXT,
    version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (provider_id),
    CONSTRAINT providers_by_name UNIQUE (project_id, name)
);

CREATE INDEX providers_by_org ON providers (org_id, provider_id);

CREATE TABLE routes (
    route_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    definition BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (route_id),
    CONSTRAINT routes_by_name UNIQUE (project_id, name)
);

CREATE INDEX routes_by_org ON routes (org_id, route_id);

CREATE TABLE thread_runs (
    thread_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    through_message_seq INTEGER,
    PRIMARY KEY (thread_id, run_id)
)
 WITHOUT ROWID;

CREATE TABLE threads (
    thread_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    title TEXT NOT NULL,
    persona_id TEXT,
    route_id TEXT,
    metadata BLOB NOT NULL,
    next_message_seq INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    erased_at BIGINT,
    PRIMARY KEY (thread_id)
);

CREATE INDEX threads_by_org ON threads (org_id, thread_id);

CREATE INDEX threads_by_project ON threads (project_id, thread_id);

INSERT INTO personas (persona_version_id, org_id, project_id, key, version, definition, created_at, created_by)
SELECT 'per_' || substr(project_id, 6), org_id, project_id, 'default', 1,
    CAST('{"prompt":"","description":"","route":null,"model":null,"tools":null,"denied_tools":[],"temperature":null,"risk_threshold":null,"budget":{}}' AS BLOB),
    created_at, 'system:migration' FROM projects;

INSERT INTO routes (route_id, org_id, project_id, name, definition, created_at, created_by, updated_at)
SELECT 'route_' || substr(project_id, 6), org_id, project_id, 'local',
    CAST('{"kind":"local","model":"smollm2-135m-instruct","provider":null,"price":{"input":0,"cached":null,"output":0},"max_output_tokens":512,"context_window":8192}' AS BLOB),
    created_at, 'system:migration', created_at FROM projects;
