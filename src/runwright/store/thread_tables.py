"""The schema of threads, their messages and runs, whose turn it is, personas, routes and providers. See `tables`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Text, UniqueConstraint

from runwright.store.columns import may, need, table

threads = table(
    "threads",
    Column("thread_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("title", Text),
    may("persona_id", Text),
    may("route_id", Text),
    need("metadata", LargeBinary),
    need("next_message_seq", Integer),
    need("created_at", BigInteger),
    need("created_by", Text),
    need("updated_at", BigInteger),
    may("deleted_at", BigInteger),
    may("erased_at", BigInteger),
    Index("threads_by_org", "org_id", "thread_id"),
    Index("threads_by_project", "project_id", "thread_id"),
)

messages = table(
    "messages",
    need("thread_id", Text),
    need("seq", Integer),
    need("message_id", Text),
    need("org_id", Text),
    need("project_id", Text),
    need("role", Text),
    need("sealed", LargeBinary),
    need("hidden", Integer),
    may("run_id", Text),
    need("created_at", BigInteger),
    need("created_by", Text),
    may("deleted_at", BigInteger),
    PrimaryKeyConstraint("thread_id", "seq"),
    UniqueConstraint("message_id", name="messages_by_id"),
)

thread_runs = table(
    "thread_runs",
    need("thread_id", Text),
    need("run_id", Text),
    need("org_id", Text),
    may("through_message_seq", Integer),
    PrimaryKeyConstraint("thread_id", "run_id"),
    rowid=False,
)

busy_threads = table(
    "busy_threads",
    Column("thread_id", Text, primary_key=True, nullable=False),
    need("run_id", Text),
    need("org_id", Text),
    rowid=False,
    churns=True,
)

enqueued_runs = table(
    "enqueued_runs",
    need("thread_id", Text),
    need("run_id", Text),
    need("org_id", Text),
    need("place", Integer),
    may("message_id", Text),
    may("sealed", LargeBinary),
    need("created_by", Text),
    PrimaryKeyConstraint("thread_id", "run_id"),
    rowid=False,
    churns=True,
)

pending_inputs = table(
    "pending_inputs",
    Column("run_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("thread_id", Text),
    need("request_id", Text),
    need("asked", LargeBinary),
    need("created_at", BigInteger),
    Index("pending_inputs_by_org", "org_id", "run_id"),
    Index("pending_inputs_by_project", "project_id", "run_id"),
    rowid=False,
    churns=True,
)

personas = table(
    "personas",
    Column("persona_version_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("key", Text),
    need("version", Integer),
    need("definition", LargeBinary),
    need("created_at", BigInteger),
    need("created_by", Text),
    UniqueConstraint("project_id", "key", "version", name="personas_by_key"),
    Index("personas_by_org", "org_id", "persona_version_id"),
)

routes = table(
    "routes",
    Column("route_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("name", Text),
    need("definition", LargeBinary),
    need("created_at", BigInteger),
    need("created_by", Text),
    need("updated_at", BigInteger),
    UniqueConstraint("project_id", "name", name="routes_by_name"),
    Index("routes_by_org", "org_id", "route_id"),
)

providers = table(
    "providers",
    Column("provider_id", Text, primary_key=True, nullable=False),
    need("org_id", Text),
    need("project_id", Text),
    need("name", Text),
    need("kind", Text),
    may("base_url", Text),
    need("version", Integer),
    need("created_at", BigInteger),
    need("created_by", Text),
    need("updated_at", BigInteger),
    UniqueConstraint("project_id", "name", name="providers_by_name"),
    Index("providers_by_org", "org_id", "provider_id"),
)
