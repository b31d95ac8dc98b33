"""The schema of operation: what became of runs, added up. See `tables`."""

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, PrimaryKeyConstraint, Text

from runwright.store.columns import need, table

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
