-- works with: 17
-- Threads, their messages and runs, personas, routes, providers; every project has the persona default and the route local.
CREATE TABLE busy_threads (
    thread_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (thread_id)
)
 WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE TABLE enqueued_runs (
    thread_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    place INTEGER NOT NULL,
    message_id TEXT COLLATE "C",
    sealed BYTEA,
    created_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (thread_id, run_id)
)
 WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE TABLE messages (
    thread_id TEXT COLLATE "C" NOT NULL,
    seq INTEGER NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    hidden INTEGER NOT NULL,
    run_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (thread_id, seq),
    CONSTRAINT messages_by_id UNIQUE (message_id)
);

CREATE TABLE pending_inputs (
    run_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    asked BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (run_id)
)
 WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX pending_inputs_by_org ON pending_inputs (org_id, run_id);

CREATE INDEX pending_inputs_by_project ON pending_inputs (project_id, run_id);

CREATE TABLE personas (
    persona_version_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    definition BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (persona_version_id),
    CONSTRAINT personas_by_key UNIQUE (project_id, key, version)
);

CREATE INDEX personas_by_org ON personas (org_id, persona_version_id);

CREATE TABLE providers (
    provider_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    base_url TEXT COLLATE "C",
    version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (provider_id),
    CONSTRAINT providers_by_name UNIQUE (project_id, name)
);

CREATE INDEX providers_by_org ON providers (org_id, provider_id);

CREATE TABLE routes (
    route_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    definition BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (route_id),
    CONSTRAINT routes_by_name UNIQUE (project_id, name)
);

CREATE INDEX routes_by_org ON routes (org_id, route_id);

CREATE TABLE thread_runs (
    thread_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    through_message_seq INTEGER,
    PRIMARY KEY (thread_id, run_id)
);

CREATE TABLE threads (
    thread_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C" NOT NULL,
    persona_id TEXT COLLATE "C",
    route_id TEXT COLLATE "C",
    metadata BYTEA NOT NULL,
    next_message_seq INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    erased_at BIGINT,
    PRIMARY KEY (thread_id)
);

CREATE INDEX threads_by_org ON threads (org_id, thread_id);

CREATE INDEX threads_by_project ON threads (project_id, thread_id);

INSERT INTO personas (persona_version_id, org_id, project_id, key, version, definition, created_at, created_by)
SELECT 'per_' || substr(project_id, 6), org_id, project_id, 'default', 1,
    convert_to('{"prompt":"","description":"","route":null,"model":null,"tools":null,"denied_tools":[],"temperature":null,"risk_threshold":null,"budget":{}}', 'UTF8'),
    created_at, 'system:migration' FROM projects;

INSERT INTO routes (route_id, org_id, project_id, name, definition, created_at, created_by, updated_at)
SELECT 'route_' || substr(project_id, 6), org_id, project_id, 'local',
    convert_to('{"kind":"local","model":"smollm2-135m-instruct","provider":null,"price":{"input":0,"cached":null,"output":0},"max_output_tokens":512,"context_window":8192}', 'UTF8'),
    created_at, 'system:migration', created_at FROM projects;
