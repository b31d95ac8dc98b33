-- works with: 28
-- What calls of models used, budgets that runs share, and what is reserved of them.
CREATE TABLE budgets (
    budget_key TEXT NOT NULL,
    budget_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    thread_id TEXT,
    limit_microusd BIGINT NOT NULL,
    settled_microusd BIGINT NOT NULL,
    reserved_microusd BIGINT NOT NULL,
    window_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (budget_key),
    CONSTRAINT budgets_by_id UNIQUE (budget_id)
)
 WITHOUT ROWID;

CREATE INDEX budgets_by_org ON budgets (org_id, budget_id);

CREATE INDEX budgets_by_project ON budgets (project_id, budget_id);

CREATE TABLE reservations (
    run_id TEXT NOT NULL,
    llm_call_id TEXT NOT NULL,
    budget_key TEXT NOT NULL,
    org_id TEXT NOT NULL,
    amount_microusd BIGINT NOT NULL,
    PRIMARY KEY (run_id, llm_call_id, budget_key)
)
 WITHOUT ROWID;

CREATE INDEX reservations_by_budget ON reservations (budget_key);

CREATE TABLE usage_records (
    run_id TEXT NOT NULL,
    llm_call_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    persona_id TEXT NOT NULL,
    route_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    user_id TEXT,
    created_by TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_microusd BIGINT,
    estimated INTEGER NOT NULL,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, llm_call_id)
)
 WITHOUT ROWID;

CREATE INDEX usage_records_by_org ON usage_records (org_id, recorded_at);

CREATE INDEX usage_records_by_project ON usage_records (project_id, recorded_at);
