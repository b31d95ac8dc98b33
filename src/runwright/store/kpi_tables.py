"""The schema of KPIs: what ended runs add to them, one by one, and added up by pieces of time."""

from sqlalchemy import BigInteger, Index, LargeBinary, PrimaryKeyConstraint, Text

from runwright.store.columns import may, need, table

kpi_runs = table(
    "kpi_runs",
    need("org_id", Text),
    need("project_id", Text),
    need("ended_at", BigInteger),
    need("run_id", Text),
    need("kind", Text),
    may("mode", Text),
    may("repo", Text),
    may("model", Text),
    need("facts", LargeBinary),
    PrimaryKeyConstraint("org_id", "ended_at", "run_id"),
    Index("kpi_runs_by_project", "project_id", "ended_at", "run_id"),
    rowid=False,
)

kpi_sums = table(
    "kpi_sums",
    need("org_id", Text),
    need("project_id", Text),
    need("dimension", Text),
    need("grain", Text),
    need("at", BigInteger),
    need("label", Text),
    need("sums", LargeBinary),
    PrimaryKeyConstraint("org_id", "project_id", "dimension", "grain", "at", "label"),
    Index("kpi_sums_by_time", "grain", "at"),
    rowid=False,
)
