"""The schema of money: what calls of models used, the budgets that runs share, and what is reserved of them."""

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Text, UniqueConstraint

from runwright.store.columns import may, need, table

usage_records = table(
    "usage_records",
    need("run_id", Text),
    need("llm_call_id", Text),
    need("org_id", Text),
    need("project_id", Text),
    need("thread_id", Text),
    need("persona_id", Text),
    need("route_id", Text),
    need("provider", Text),
    need("model", Text),
    may("user_id", Text),
    need("created_by", Text),
    need("trace_id", Text),
    need("input_tokens", BigInteger),
    need("cached_tokens", BigInteger),
    need("output_tokens", BigInteger),
    may("cost_microusd", BigInteger),
    need("estimated", Integer),
    need("recorded_at", BigInteger),
    PrimaryKeyConstraint("run_id", "llm_call_id"),
    Index("usage_records_by_org", "org_id", "recorded_at"),
    Index("usage_records_by_project", "project_id", "recorded_at"),
    rowid=False,
)

budgets = table(
    "budgets",
    Column("budget_key", Text, primary_key=True, nullable=False),
    need("budget_id", Text),
    need("org_id", Text),
    need("project_id", Text),
    need("scope", Text),
    may("thread_id", Text),
    need("limit_microusd", BigInteger),
    need("settled_microusd", BigInteger),
    need("reserved_microusd", BigInteger),
    may("window_at", BigInteger),
    need("created_at", BigInteger),
    need("created_by", Text),
    need("updated_at", BigInteger),
    UniqueConstraint("budget_id", name="budgets_by_id"),
    Index("budgets_by_org", "org_id", "budget_id"),
    Index("budgets_by_project", "project_id", "budget_id"),
    rowid=False,
    churns=True,
)

reservations = table(
    "reservations",
    need("run_id", Text),
    need("llm_call_id", Text),
    need("budget_key", Text),
    need("org_id", Text),
    need("amount_microusd", BigInteger),
    PrimaryKeyConstraint("run_id", "llm_call_id", "budget_key"),
    Index("reservations_by_budget", "budget_key"),
    rowid=False,
    churns=True,
)
