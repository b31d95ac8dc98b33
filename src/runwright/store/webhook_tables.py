"""The schema of webhooks: who is told, and what became of each message. See `tables`."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Text

from runwright.store.columns import may, need, partial, table

webhook_subscriptions = table(
    "webhook_subscriptions",
    Column("subscription_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("url", Text),
    need("event_types", LargeBinary),
    need("description", Text),
    need("enabled", Boolean),
    need("created_at", BigInteger),
    need("created_by", Text),
    need("updated_at", BigInteger),
    may("failing_since", BigInteger),
    may("disabled_at", BigInteger),
    may("disabled_reason", Text),
    Index("webhook_subscriptions_by_org", "org_id", "subscription_id"),
)

webhook_deliveries = table(
    "webhook_deliveries",
    Column("delivery_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("source", Text),
    need("event_id", Text),
    need("event_type", Text),
    may("run_id", Text),
    need("seq", Integer),
    may("run_status", Text),
    may("run_attempt", Integer),
    need("outcome", Text),
    need("attempt", Integer),
    need("round_from", Integer),
    may("response_status", Integer),
    may("error", Text),
    need("created_at", BigInteger),
    may("next_attempt_at", BigInteger),
    may("last_attempt_at", BigInteger),
    may("ended_at", BigInteger),
    Index("webhook_deliveries_by_project", "project_id", "delivery_id"),
    partial("webhook_deliveries_by_run", "run_id", "delivery_id", where="run_id IS NOT NULL"),
    partial("webhook_deliveries_due", "source", "next_attempt_at", where="next_attempt_at IS NOT NULL"),
    partial("webhook_deliveries_pending", "delivery_id", where="next_attempt_at IS NOT NULL"),
    churns=True,
)
