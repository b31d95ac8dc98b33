"""The schema of environments and secrets; every value of a secret that may still be printed is kept. See `tables`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Text, UniqueConstraint

from runwright.store.columns import may, need, table

environments = table(
    "environments",
    Column("environment_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("name", Text),
    need("description", Text),
    need("variables", LargeBinary),
    need("created_at", BigInteger),
    need("created_by", Text),
    need("updated_at", BigInteger),
    UniqueConstraint("project_id", "name", name="environments_by_name"),
    Index("environments_by_org", "org_id", "environment_id"),
)

secrets = table(
    "secrets",
    Column("secret_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("environment_id", Text),
    need("name", Text),
    need("version", Integer),
    need("created_at", BigInteger),
    need("created_by", Text),
    need("updated_at", BigInteger),
    UniqueConstraint("project_id", "environment_id", "name", name="secrets_by_name"),
    Index("secrets_by_org", "org_id", "secret_id"),
)

secret_values = table(
    "secret_values",
    need("project_id", Text),
    need("secret_id", Text),
    need("version", Integer),
    need("sealed", LargeBinary),
    need("created_at", BigInteger),
    may("retired_at", BigInteger),
    PrimaryKeyConstraint("project_id", "secret_id", "version"),
    rowid=False,
)

secret_heads = table(
    "secret_heads",
    Column("project_id", Text, primary_key=True, nullable=False),
    need("version", BigInteger),
    rowid=False,
)
