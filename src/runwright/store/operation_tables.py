"""The schema of operation: what became of runs, added up, and what was done to many at once. See `tables`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Text

from runwright.store.columns import may, need, partial, table

rollups = table(
    "rollups",
    need("org_id", Text),
    need("project_id", Text),
    need("job_id", Text),
    need("grain", Text),
    need("at", BigInteger),
    need("data", LargeBinary),
    PrimaryKeyConstraint("org_id", "project_id", "job_id", "grain", "at"),
    Index("rollups_by_time", "grain", "at"),
    rowid=False,
)

depths = table(
    "depths",
    need("org_id", Text),
    need("project_id", Text),
    need("state", Text),
    need("count", Integer),
    PrimaryKeyConstraint("org_id", "project_id", "state"),
    rowid=False,
)

batch_operations = table(
    "batch_operations",
    Column("batch_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    may("project_id", Text),
    may("job_id", Text),
    need("verb", Text),
    need("item_count", Integer),
    need("created_count", Integer),
    need("created_by", Text),
    need("created_at", BigInteger),
    may("finished_at", BigInteger),
    need("results", LargeBinary),
    Index("batch_operations_by_org", "org_id", "batch_id"),
    partial("batch_operations_by_project", "project_id", "batch_id", where="project_id IS NOT NULL"),
)
