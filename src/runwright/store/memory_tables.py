"""The schema of what jobs remember between their runs. See `tables`."""

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, PrimaryKeyConstraint, Text

from runwright.store.columns import may, need, partial, table

job_memory = table(
    "job_memory",
    need("job_id", Text),
    need("memory_key", Text),
    need("org_id", Text),
    need("project_id", Text),
    need("run_id", Text),
    need("sealed", LargeBinary),
    need("size", Integer),
    may("expires_at", BigInteger),
    need("updated_at", BigInteger),
    PrimaryKeyConstraint("job_id", "memory_key"),
    Index("job_memory_by_run", "run_id"),
    partial("job_memory_by_expiry", "expires_at", where="expires_at IS NOT NULL"),
    rowid=False,
)
