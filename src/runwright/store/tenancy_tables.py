"""The schema of tenancy: who there is, what they may do, and the audit log of it. See `tables`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)

from runwright.store.columns import may, need, partial, table

organizations = table(
    "organizations",
    Column("org_id", Text, primary_key=True, nullable=False),
    need("slug", Text),
    need("name", Text),
    need("created_at", BigInteger),
    UniqueConstraint("slug", name="organizations_by_slug"),
)

projects = table(
    "projects",
    Column("project_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("slug", Text),
    need("name", Text),
    need("weight", Float),
    may("max_concurrency", Integer),
    need("created_at", BigInteger),
    may("retention_days", Float),
    UniqueConstraint("org_id", "slug", name="projects_by_slug"),
)

users = table(
    "users",
    Column("user_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("name", Text),
    may("email", Text),
    need("enabled", Boolean),
    need("created_at", BigInteger),
    may("issuer", Text),
    may("subject", Text),
    UniqueConstraint("org_id", "name", name="users_by_name"),
    partial("users_by_subject", "issuer", "subject", where="subject IS NOT NULL", unique=True),
)

members = table(
    "members",
    Column("member_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    may("project_id", Text),
    need("user_id", Text),
    need("role", Text),
    need("created_at", BigInteger),
    need("created_by", Text),
    may("removed_at", BigInteger),
    Index("members_by_org", "org_id", "member_id"),
    Index("members_by_user", "user_id"),
    partial("members_of_org", "org_id", "user_id", where="project_id IS NULL AND removed_at IS NULL", unique=True),
    partial(
        "members_of_project",
        "project_id",
        "user_id",
        where="project_id IS NOT NULL AND removed_at IS NULL",
        unique=True,
    ),
)

api_keys = table(
    "api_keys",
    Column("key_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    may("project_id", Text),
    may("user_id", Text),
    need("name", Text),
    need("prefix", Text),
    need("digest", LargeBinary),
    need("scopes", Text),
    need("created_at", BigInteger),
    need("created_by", Text),
    may("expires_at", BigInteger),
    may("revoked_at", BigInteger),
    may("rotated_to", Text),
    UniqueConstraint("prefix", name="api_keys_by_prefix"),
    Index("api_keys_by_org", "org_id", "key_id"),
)

keyring = table(
    "keyring",
    Column("name", Text, primary_key=True, nullable=False),
    need("wrapped", LargeBinary),
    need("created_at", BigInteger),
)

audit = table(
    "audit",
    need("org_id", Text),
    need("number", Integer),
    need("actor", Text),
    need("action", Text),
    need("target", Text),
    need("data", LargeBinary),
    need("created_at", BigInteger),
    need("hash", LargeBinary),
    PrimaryKeyConstraint("org_id", "number"),
    Index("audit_by_target", "org_id", "target", "number"),
    rowid=False,
)

audit_heads = table(
    "audit_heads",
    Column("org_id", Text, primary_key=True, nullable=False),
    need("number", Integer),
    need("hash", LargeBinary),
    rowid=False,
)

tickets = table(
    "tickets",
    Column("name", Text, primary_key=True, nullable=False),
    need("owner", Text),
    need("path", Text),
    need("actor", LargeBinary),
    need("until", BigInteger),
    Index("tickets_by_owner", "owner", "until"),
    Index("tickets_until", "until"),
    rowid=False,
    churns=True,
)
