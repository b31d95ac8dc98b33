-- works with: 13
-- Who is told of the events of runs, and what became of each message.
CREATE TABLE webhook_deliveries (
    delivery_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    run_id TEXT,
    seq INTEGER NOT NULL,
    run_status TEXT,
    run_attempt INTEGER,
    outcome TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    round_from INTEGER NOT NULL,
    response_status INTEGER,
    error TEXT,
    created_at BIGINT NOT NULL,
    next_attempt_at BIGINT,
    last_attempt_at BIGINT,
    ended_at BIGINT,
    PRIMARY KEY (delivery_id)
);

CREATE INDEX webhook_deliveries_by_project ON webhook_deliveries (project_id, delivery_id);

CREATE INDEX webhook_deliveries_by_run ON webhook_deliveries (run_id, delivery_id) WHERE run_id IS NOT NULL;

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (source, next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (delivery_id) WHERE next_attempt_at IS NOT NULL;

CREATE TABLE webhook_subscriptions (
    subscription_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    url TEXT NOT NULL,
    event_types BLOB NOT NULL,
    description TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    failing_since BIGINT,
    disabled_at BIGINT,
    disabled_reason TEXT,
    PRIMARY KEY (subscription_id)
);

CREATE INDEX webhook_subscriptions_by_org ON webhook_subscriptions (org_id, subscription_id);
