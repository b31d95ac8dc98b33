"""What the API answers about jobs."""

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.models import Record


class JobDefinition(Record, kw_only=True):
    """What a job and each version of it say about its runs."""

    id: str
    slug: str
    name: str | None = None
    description: str | None = None
    execution_mode: str | None = None
    endpoint_url: str | None = None
    fallback_endpoint_url: str | None = None
    retry_on: list[int] | None = None
    heartbeat_timeout_secs: int | float | None = None
    command: list[str] | None = None
    tty: bool = False
    preset: str | None = None
    network: str | None = None
    queue: str = "default"
    enabled: bool = True
    version: int = 1
    job_version_id: str | None = None
    job_id: str | None = None
    handler: str | None = None
    max_attempts: int | None = None
    timeout_secs: int | float | None = None
    retry_strategy: str | None = None
    retry_initial_delay_secs: int | float | None = None
    retry_max_delay_secs: int | float | None = None
    retry_delays_secs: list[int | float] | None = None
    retry_jitter: str | None = None
    max_concurrency: int | None = None
    max_concurrency_per_key: int | None = None
    rate_limit: dict[str, Any] | None = None
    run_ttl_secs: int | float | None = None
    priority: int | None = None
    poison_pill_threshold: int | None = None
    rerun_unknown_steps: bool = False
    cron: str | None = None
    timezone: str = "UTC"
    catch_up: str = "one"
    overlap: str = "allow"
    payload_template: dict[str, Any] | None = None
    webhook_url: str | None = None
    environment: str | None = None
    payload_schema: dict[str, Any] | None = None
    result_schema: dict[str, Any] | None = None
    execution_window_cron: str | None = None
    dedup_window_secs: int | None = None
    debounce: dict[str, Any] | None = None
    batch: dict[str, Any] | None = None
    on_complete: list[dict[str, Any]] | None = None
    on_failure: list[dict[str, Any]] | None = None
    event_triggers: list[dict[str, Any]] | None = None
    tags: dict[str, Any] | None = None
    default_metadata: dict[str, Any] | None = None
    created_at: datetime | None = None


class JobVersion(JobDefinition, kw_only=True):
    """One version of a job; it never changes."""

    created_by: str | None = None


class Job(JobDefinition, kw_only=True):
    """A job as it stands: its newest version, what its runs are made from."""

    project_id: str | None = None
    org_id: str | None = None
    signing_secret: str | None = None
    updated_at: datetime | None = None


class JobSchedule(Record, kw_only=True):
    """When a job starts runs by itself; `upcoming` is empty for a disabled one."""

    job_id: str
    cron: str
    timezone: str
    catch_up: str
    overlap: str
    enabled: bool
    upcoming: list[datetime]
    next_fire_at: datetime | None = None
    last_fired_at: datetime | None = None
    last_run_id: str | None = None


class RotatedSecret(Record, kw_only=True):
    """A new signing secret, shown this once, and until when the one before it signs too."""

    job_id: str = ""
    signing_secret: str | None = None
    previous_expires_at: datetime | None = None


class BulkItem(msgspec.Struct, kw_only=True):
    """What became of one item of a bulk trigger."""

    id: str | None = None
    status: str | None = None
    error: str | None = None
    code: str | None = None
    idempotency_hit: bool = False


class BulkTriggered(Record, kw_only=True):
    """What became of a bulk trigger; `results` are in the order of the items."""

    results: list[BulkItem]
    batch_id: str | None = None
    total: int = 0
    created: int = 0


class JobHealth(Record, kw_only=True):
    """What became of a job's runs lately; `health` is healthy, degraded, failing or unknown."""

    job_id: str
    window: str = ""
    from_at: datetime | None = None
    until_at: datetime | None = None
    health: str = "unknown"
    success_rate: float | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    crashed: int = 0
    canceled: int = 0
    expired: int = 0
    dead_lettered: int = 0
    retries: int = 0
    p50_duration_ms: float | None = None
    p95_duration_ms: float | None = None
