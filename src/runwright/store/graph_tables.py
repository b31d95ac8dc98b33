"""The schema of what releases one run because of others: dependencies between jobs, and workflows. See `tables`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Text, UniqueConstraint

from runwright.store.columns import may, need, partial, table

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

workflows = table(
    "workflows",
    Column("workflow_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("slug", Text),
    need("version", Integer),
    need("workflow_version_id", Text),
    need("definition", LargeBinary),
    need("created_at", BigInteger),
    need("updated_at", BigInteger),
    may("deleted_at", BigInteger),
    partial("workflows_by_slug", "project_id", "slug", where="deleted_at IS NULL", unique=True),
)

workflow_versions = table(
    "workflow_versions",
    Column("workflow_version_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("workflow_id", Text),
    need("version", Integer),
    need("definition", LargeBinary),
    need("created_at", BigInteger),
    need("created_by", Text),
    UniqueConstraint("workflow_id", "version", name="workflow_versions_by_number"),
)
