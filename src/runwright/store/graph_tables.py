"""The schema of what releases one run because of others. See `tables`."""

from sqlalchemy import BigInteger, Column, Index, Integer, Text, UniqueConstraint

from runwright.store.columns import may, need, table

job_dependencies = table(
    "job_dependencies",
    Column("dependency_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("job_id", Text),
    need("depends_on_job_id", Text),
    need("condition", Text),
    need("on_miss", Text),
    may("max_age_secs", Integer),
    may("timeout_secs", Integer),
    need("created_at", BigInteger),
    need("created_by", Text),
    UniqueConstraint("job_id", "depends_on_job_id", name="job_dependencies_by_pair"),
    Index("job_dependencies_by_project", "project_id", "dependency_id"),
    Index("job_dependencies_by_upstream", "depends_on_job_id"),
)
