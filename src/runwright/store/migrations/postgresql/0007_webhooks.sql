-- works with: 6
-- Who is told of the events of runs, and what became of each message.
CREATE TABLE webhook_deliveries (
    delivery_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    event_type TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C",
    seq INTEGER NOT NULL,
    run_status TEXT COLLATE "C",
    run_attempt INTEGER,
    outcome TEXT COLLATE "C" NOT NULL,
    attempt INTEGER NOT NULL,
    round_from INTEGER NOT NULL,
    response_status INTEGER,
    error TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    next_attempt_at BIGINT,
    last_attempt_at BIGINT,
    ended_at BIGINT,
    PRIMARY KEY (delivery_id)
)
 WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX webhook_deliveries_by_project ON webhook_deliveries (project_id, delivery_id);

CREATE INDEX webhook_deliveries_by_run ON webhook_deliveries (run_id, delivery_id) WHERE run_id IS NOT NULL;

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (source, next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (delivery_id) WHERE next_attempt_at IS NOT NULL;

CREATE TABLE webhook_subscriptions (
    subscription_id TEXT COLLATE "C" NOT NULL,
    org_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    event_types BYTEA NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    failing_since BIGINT,
    disabled_at BIGINT,
    disabled_reason TEXT COLLATE "C",
    PRIMARY KEY (subscription_id)
);

CREATE INDEX webhook_subscriptions_by_org ON webhook_subscriptions (org_id, subscription_id);
