-- works with: 21
-- What calls of models used, budgets that runs share, and what is reserved of them.
CREATE TABLE budgets (
    budget_key TEXT COLLATE "C" NOT NULL,
    budget_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    scope TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C",
    limit_microusd BIGINT NOT NULL,
    settled_microusd BIGINT NOT NULL,
    reserved_microusd BIGINT NOT NULL,
    window_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (budget_key),
    CONSTRAINT budgets_by_id UNIQUE (budget_id)
)
 WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX budgets_by_org ON budgets (org_id, budget_id);

CREATE INDEX budgets_by_project ON budgets (project_id, budget_id);

CREATE TABLE reservations (
    run_id TEXT COLLATE "C" NOT NULL,
    llm_call_id TEXT COLLATE "C" NOT NULL,
    budget_key TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    amount_microusd BIGINT NOT NULL,
    PRIMARY KEY (run_id, llm_call_id, budget_key)
)
 WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX reservations_by_budget ON reservations (budget_key);

CREATE TABLE usage_records (
    run_id TEXT COLLATE "C" NOT NULL,
    llm_call_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    thread_id TEXT COLLATE "C" NOT NULL,
    persona_id TEXT COLLATE "C" NOT NULL,
    route_id TEXT COLLATE "C" NOT NULL,
    provider TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C",
    created_by TEXT COLLATE "C" NOT NULL,
    trace_id TEXT COLLATE "C" NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_microusd BIGINT,
    estimated INTEGER NOT NULL,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, llm_call_id)
);

CREATE INDEX usage_records_by_org ON usage_records (org_id, recorded_at);

CREATE INDEX usage_records_by_project ON usage_records (project_id, recorded_at);
