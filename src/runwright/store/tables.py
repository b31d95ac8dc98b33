"""The schema, once, for every database. Instants are µs (BIGINT), JSON and digests are bytes.

What changes often is narrow (`run_heads`, `ready`, `held`, `limits`, `leases`, `timers`); `runs` is written when a run
is created, when it begins and when it ends; `run_events` only grows. No foreign keys stand on the hot path: the
commit writes a run and its records in one transaction. The tables of tenancy stand in `tenancy_tables`.
"""

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

from runwright.store.columns import entry as _entry
from runwright.store.columns import may as _may
from runwright.store.columns import need as _need
from runwright.store.columns import partial as _partial
from runwright.store.columns import table as _table

runs = _table(
    "runs",
    Column("run_id", Text, primary_key=True, nullable=False),
    _need("org_id", Text),
    _need("project_id", Text),
    _need("kind", Text),
    _may("job_id", Text),
    _may("batch_id", Text),
    _may("parent_run_id", Text),
    _need("state", Text),
    _may("reason", Text),
    _need("attempt", Integer),
    _need("lease_epoch", Integer),
    _need("seq", Integer),
    _need("hash", LargeBinary),
    _need("at", BigInteger),
    _need("since_at", BigInteger),
    _may("due_at", BigInteger),
    _may("expires_at", BigInteger),
    _may("started_at", BigInteger),
    _may("worker_id", Text),
    _may("annotations", LargeBinary),
    _may("trace", LargeBinary),
    _may("usage", LargeBinary),
    _may("preset", Text),
    _may("amended", LargeBinary),
    _may("course", LargeBinary),
    _may("finished_at", BigInteger),
    _may("cancel_requested_at", BigInteger),
    _may("pause_requested_at", BigInteger),
    _may("restart_requested_at", BigInteger),
    _may("paused", LargeBinary),
    _may("error", Text),
    _may("error_class", Text),
    _may("tally", LargeBinary),
    _need("queue_wait_us", BigInteger),
    _need("queued_us", BigInteger),
    _need("active_us", BigInteger),
    _need("waiting_us", BigInteger),
    _may("dead_lettered_at", BigInteger),
    _may("dead_letter_left_at", BigInteger),
    _may("replayed_as", Text),
    _need("opening", LargeBinary),
    _may("payload", LargeBinary),
    _may("result", LargeBinary),
    _may("erased_at", BigInteger),
    _may("genesis", LargeBinary),
    _may("wait", LargeBinary),
    _may("dependency_key", Text),
    _may("lineage_root", Text),
    _may("pruned_at", BigInteger),
    _may("pruned_way", LargeBinary),
    Index("runs_by_project", "project_id", "run_id"),
    Index("runs_by_job", "job_id", "run_id"),
    _partial("runs_by_batch", "batch_id", "run_id", where="batch_id IS NOT NULL"),
    _partial("runs_by_parent", "parent_run_id", "run_id", where="parent_run_id IS NOT NULL"),
    _partial("runs_by_dependency_key", "job_id", "dependency_key", "run_id", where="dependency_key IS NOT NULL"),
    _partial("runs_depending", "job_id", "run_id", where="state = 'waiting' AND reason = 'dependency'"),
    _partial("runs_of_workflows", "run_id", where="kind = 'workflow' AND state = 'waiting'"),
    _partial("runs_waiting_for_others", "run_id", where="state = 'waiting' AND reason = 'dependency'"),
    _partial("runs_by_lineage", "lineage_root", "run_id", where="lineage_root IS NOT NULL"),
    _partial(
        "runs_unhappy",
        "project_id",
        "state",
        "run_id",
        where="state IN ('failed', 'cancelled', 'expired')",
        in_sqlite="state = 'failed' OR state = 'cancelled' OR state = 'expired'",
    ),
    _partial(
        "runs_dead",
        "project_id",
        "run_id",
        where="dead_lettered_at IS NOT NULL AND dead_letter_left_at IS NULL",
    ),
    _partial("runs_to_thin", "project_id", "finished_at", where="finished_at IS NOT NULL AND pruned_at IS NULL"),
    _partial("runs_pruned", "finished_at", where="pruned_at IS NOT NULL"),
    by_month=True,
)

run_heads = _table(
    "run_heads",
    Column("run_id", Text, primary_key=True, nullable=False),
    _need("state", Text),
    _need("lease_epoch", Integer),
    _need("seq", Integer),
    _need("hash", LargeBinary),
    _need("at", BigInteger),
    _may("rank", Float),
    _may("held_by", Text),
    rowid=False,
    churns=True,
)

run_events = _table(
    "run_events",
    _need("run_id", Text),
    _need("seq", Integer),
    _need("type", Text),
    _need("level", Text),
    _need("actor", Text),
    _need("message", Text),
    _may("data", LargeBinary),
    _may("salt", LargeBinary),
    _need("lease_epoch", Integer),
    _need("created_at", BigInteger),
    _need("hash", LargeBinary),
    _may("usage", LargeBinary),
    PrimaryKeyConstraint("run_id", "seq"),
    rowid=False,
    by_month=True,
)

run_values = _table(
    "run_values",
    _need("run_id", Text),
    _need("kind", Text),
    _need("key", Text),
    _may("sealed", LargeBinary),
    _may("artifact", Text),
    _may("note", LargeBinary),
    _need("created_at", BigInteger),
    PrimaryKeyConstraint("run_id", "kind", "key"),
    _partial("run_values_by_artifact", "artifact", where="artifact IS NOT NULL"),
    by_month=True,
)

artifacts = _table(
    "artifacts",
    _need("org_id", Text),
    _need("project_id", Text),
    _need("digest", Text),
    _need("size", BigInteger),
    _need("created_at", BigInteger),
    _need("created_by", Text),
    PrimaryKeyConstraint("org_id", "project_id", "digest"),
    Index("artifacts_by_digest", "digest"),
    rowid=False,
)

attempts = _table(
    "attempts",
    _need("run_id", Text),
    _need("lease_epoch", Integer),
    _need("attempt", Integer),
    _need("executor", Text),
    _need("worker_id", Text),
    _need("started_at", BigInteger),
    _need("ended_at", BigInteger),
    _need("outcome", Text),
    _may("error_class", Text),
    _may("error", Text),
    _need("queue_wait_us", BigInteger),
    _may("trace", LargeBinary),
    PrimaryKeyConstraint("run_id", "lease_epoch"),
    rowid=False,
    by_month=True,
)

ready = _table(
    "ready",
    _need("lane", Text),
    _need("rank", Float),
    _need("run_id", Text),
    PrimaryKeyConstraint("lane", "rank", "run_id"),
    rowid=False,
    churns=True,
)

paused_queues = _table(
    "paused_queues",
    Column("queue", Text, primary_key=True, nullable=False),
    _need("paused_at", BigInteger),
    _need("paused_by", Text),
    rowid=False,
)

held = _table(
    "held",
    _need("limit_key", Text),
    _need("rank", Float),
    _need("run_id", Text),
    PrimaryKeyConstraint("limit_key", "rank", "run_id"),
    rowid=False,
    churns=True,
)

limits = _table(
    "limits",
    Column("limit_key", Text, primary_key=True, nullable=False),
    _need("used", Integer),
    _need("max", Integer),
    rowid=False,
    churns=True,
)

turns = _table(
    "turns",
    _need("queue", Text),
    _need("project_id", Text),
    _need("last_turn", Float),
    PrimaryKeyConstraint("queue", "project_id"),
    rowid=False,
    churns=True,
)

leases = _table(
    "leases",
    Column("run_id", Text, primary_key=True, nullable=False),
    _need("lease_epoch", Integer),
    _need("worker_id", Text),
    _need("until", BigInteger),
    _may("fence_at", BigInteger),
    _partial("leases_to_fence", "fence_at", where="fence_at IS NOT NULL"),
    rowid=False,
    churns=True,
)

workers = _table(
    "workers",
    Column("worker_id", Text, primary_key=True, nullable=False),
    _need("org_id", Text),
    _may("project_id", Text),
    _need("name", Text),
    _need("version", Text),
    _need("sdk", Text),
    _need("queues", LargeBinary),
    _need("handlers", LargeBinary),
    _need("slots", Integer),
    _need("started_at", BigInteger),
    _need("seen_at", BigInteger),
    _may("drain_at", BigInteger),
    _may("gone_at", BigInteger),
    _may("processes", Boolean),
    Index("workers_by_org", "org_id", "worker_id"),
)

timers = _table(
    "timers",
    _need("run_id", Text),
    _need("name", Text),
    _need("at", BigInteger),
    PrimaryKeyConstraint("run_id", "name"),
    Index("timers_by_time", "at", "run_id", "name"),
    rowid=False,
    churns=True,
)

idempotency = _table(
    "idempotency",
    _need("scope", Text),
    _need("key", Text),
    _need("fingerprint", Text),
    _need("target", Text),
    _need("created_at", BigInteger),
    PrimaryKeyConstraint("scope", "key"),
    Index("idempotency_by_time", "created_at"),
    rowid=False,
)

gatherings = _table(
    "gatherings",
    _need("job_id", Text),
    _need("kind", Text),
    _need("key", Text),
    _need("run_id", Text),
    PrimaryKeyConstraint("job_id", "kind", "key"),
    rowid=False,
    churns=True,
)

inbox = _table(
    "inbox",
    _entry(),
    _need("run_id", Text),
    _need("command", LargeBinary),
    _need("created_at", BigInteger),
    churns=True,
)

outbox = _table(
    "outbox",
    _entry(),
    _need("topic", Text),
    _need("run_id", Text),
    _need("data", LargeBinary),
    _need("created_at", BigInteger),
    Index("outbox_by_topic", "topic", "entry"),
    churns=True,
)

jobs = _table(
    "jobs",
    Column("job_id", Text, primary_key=True, nullable=False),
    _need("org_id", Text),
    _need("project_id", Text),
    _need("slug", Text),
    _need("version", Integer),
    _need("job_version_id", Text),
    _need("definition", LargeBinary),
    _need("created_at", BigInteger),
    _need("updated_at", BigInteger),
    _may("deleted_at", BigInteger),
    _partial("jobs_by_slug", "project_id", "slug", where="deleted_at IS NULL", unique=True),
)

job_versions = _table(
    "job_versions",
    Column("job_version_id", Text, primary_key=True, nullable=False),
    _need("job_id", Text),
    _need("version", Integer),
    _need("definition", LargeBinary),
    _need("created_at", BigInteger),
    _need("created_by", Text),
    UniqueConstraint("job_id", "version", name="job_versions_by_number"),
)

job_secrets = _table(
    "job_secrets",
    Column("job_id", Text, primary_key=True, nullable=False),
    _need("sealed", LargeBinary),
    _may("previous", LargeBinary),
    _may("previous_until", BigInteger),
    _need("changed_at", BigInteger),
)

schedules = _table(
    "schedules",
    Column("job_id", Text, primary_key=True, nullable=False),
    _need("org_id", Text),
    _need("project_id", Text),
    _need("job_version_id", Text),
    _may("next_fire_at", BigInteger),
    _may("last_fired_at", BigInteger),
    _may("last_run_id", Text),
    _partial("schedules_by_time", "next_fire_at", where="next_fire_at IS NOT NULL"),
    churns=True,
)
