"""The schema of approvals: what runs ask people to allow, and what became of it. See `tables`."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Text

from runwright.store.columns import may, need, partial, table

approvals = table(
    "approvals",
    Column("checkpoint_id", Text, primary_key=True, nullable=False),
    need("run_id", Text),
    need("org_id", Text),
    need("project_id", Text),
    need("status", Text),
    need("requested_at", BigInteger),
    need("expires_at", BigInteger),
    may("decided_at", BigInteger),
    need("checkpoint", LargeBinary),
    Index("approvals_by_run", "run_id", "checkpoint_id"),
    Index("approvals_by_org", "org_id", "checkpoint_id"),
    Index("approvals_by_project", "project_id", "checkpoint_id"),
    partial("approvals_pending", "org_id", "checkpoint_id", where="status = 'pending'"),
    rowid=False,
)
