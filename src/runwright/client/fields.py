"""What the API takes, by name: the keyword arguments of the client's methods."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Required, TypedDict

Level = Literal["debug", "info", "warning", "error"]


class PageOptions(TypedDict, total=False):
    """How a list is read: `limit` is the size of a page."""

    limit: int
    order: Literal["asc", "desc"]


class RateLimit(TypedDict):
    """How many runs of a job enter their queue within any window: see the job's `rate_limit`."""

    max: int
    window_secs: float


class DebounceWindow(TypedDict):
    """How long triggers of one key are gathered into one run with the last payload."""

    window_secs: float
    max_wait_secs: float


class BatchWindow(TypedDict):
    """How long, and how many, triggers of one key are gathered into one run with all of them."""

    window_secs: float
    max_size: int


class ChainLink(TypedDict, total=False):
    """A job that the end of a run starts, by its slug; without a template it is given the same payload."""

    job: Required[str]
    payload_template: Mapping[str, Any] | None


class EventTrigger(TypedDict, total=False):
    """Which events start a run: those of a `key`, or of all keys that begin with `prefix`; `filter` is contained."""

    key: str
    prefix: str
    filter: Mapping[str, Any]
    payload_template: Mapping[str, Any]


class JobChanges(TypedDict, total=False):
    """The fields of a job that can be changed."""

    name: str
    slug: str
    description: str
    execution_mode: str
    endpoint_url: str | None
    fallback_endpoint_url: str | None
    retry_on: Sequence[int]
    heartbeat_timeout_secs: float
    command: Sequence[str]
    tty: bool
    preset: str
    network: Literal["none", "host"]
    queue: str
    handler: str | None
    max_attempts: int
    timeout_secs: float
    retry_strategy: Literal["exponential", "linear", "fixed", "custom"]
    retry_initial_delay_secs: float
    retry_max_delay_secs: float
    retry_delays_secs: Sequence[float]
    retry_jitter: Literal["full", "proportional", "none"]
    max_concurrency: int | None
    max_concurrency_per_key: int | None
    rate_limit: RateLimit | None
    run_ttl_secs: float | None
    priority: int
    tags: Mapping[str, str]
    default_metadata: Mapping[str, str]
    poison_pill_threshold: int | None
    rerun_unknown_steps: bool
    cron: str | None
    timezone: str
    catch_up: Literal["skip", "one", "all"]
    overlap: Literal["allow", "skip", "cancel"]
    payload_template: Mapping[str, Any]
    payload_schema: Mapping[str, Any] | None
    result_schema: Mapping[str, Any] | None
    webhook_url: str | None
    environment: str | None
    execution_window_cron: str | None
    dedup_window_secs: int | None
    debounce: DebounceWindow | None
    batch: BatchWindow | None
    on_complete: Sequence[ChainLink]
    on_failure: Sequence[ChainLink]
    event_triggers: Sequence[EventTrigger]
    enabled: bool


class JobFields(JobChanges, total=False):
    """The fields of a new job."""

    project_id: str


class TriggerOptions(TypedDict, total=False):
    """What may go with the payload of a trigger."""

    tags: Mapping[str, str]
    metadata: Mapping[str, str]
    idempotency_key: str
    scheduled_at: datetime
    priority: int
    ttl_secs: float
    concurrency_key: str
    debounce_key: str
    batch_key: str
    max_attempts_override: int
    timeout_secs_override: float
    retry_backoff: Literal["exponential", "linear", "fixed", "custom"]
    retry_initial_delay_secs: float
    retry_max_delay_secs: float
    parent_run_id: str
    debug_mode: bool
    dry_run: bool


class SpawnOptions(TypedDict, total=False):
    """What may go with the payload of a child."""

    tags: Mapping[str, str]
    metadata: Mapping[str, str]
    priority: int
    concurrency_key: str


class TriggerItem(TriggerOptions, total=False):
    """One item of a bulk trigger."""

    payload: Mapping[str, Any]


class RunFilters(PageOptions, total=False):
    """The filters of a list of runs, all combinable. `metadata` and `tags` ask for these pairs."""

    project_id: str
    status: str | Sequence[str]
    state: str | Sequence[str]
    kind: str | Sequence[str]
    job_id: str
    triggered_by: str
    batch_id: str
    payload_contains: Mapping[str, Any]
    metadata: Mapping[str, str]
    tags: Mapping[str, str]
    metadata_key: str
    metadata_value: str
    tag_key: str
    tag_value: str
    concurrency_key: str
    parent_run_id: str
    error_class: str
    execution_mode: str
    created_after: datetime
    created_before: datetime
    finished_after: datetime
    finished_before: datetime


class CancelFilters(TypedDict, total=False):
    """Which unfinished runs of a project are cancelled; everything that is given must hold."""

    status: str | Sequence[str]
    state: str | Sequence[str]
    kind: str | Sequence[str]
    job_id: str
    triggered_by: str
    batch_id: str
    payload_contains: Any
    metadata: Mapping[str, str]
    tags: Mapping[str, str]
    metadata_key: str
    metadata_value: str
    tag_key: str
    tag_value: str
    concurrency_key: str
    parent_run_id: str
    error_class: str
    execution_mode: str
    created_after: datetime
    created_before: datetime
    reason: str
    limit: int
    dry_run: bool


class ReplayOptions(TypedDict, total=False):
    """How a replay differs from its run."""

    payload: Mapping[str, Any]
    payload_patch: Mapping[str, Any]
    from_checkpoint: int
    debug_mode: bool
    version: Literal["same", "latest"]
    force: bool
    from_failed: bool


class KeyFields(TypedDict, total=False):
    """The fields of an API key."""

    name: str
    scopes: Sequence[str]
    org_id: str
    project_id: str
    user_id: str
    service: bool
    expires_at: datetime


class SubscriptionChanges(TypedDict, total=False):
    """The fields of a webhook subscription that can be changed."""

    url: str
    event_types: Sequence[str]
    description: str
    enabled: bool


class SubscriptionFields(SubscriptionChanges, total=False):
    """The fields of a webhook subscription."""

    project_id: str


class DeliveryFilters(PageOptions, total=False):
    """The filters of the log of deliveries, all combinable."""

    project_id: str
    subscription_id: str
    job_id: str
    run_id: str
    event_type: str
    status: Literal["pending", "delivered", "failed"]


class EnvironmentChanges(TypedDict, total=False):
    """The fields of an environment that can be changed."""

    description: str
    variables: Mapping[str, str]


class EnvironmentFields(EnvironmentChanges, total=False):
    """The fields of an environment."""

    project_id: str
    name: str


class AuditFilters(PageOptions, total=False):
    """The filters of the audit log, all combinable."""

    actor: str
    action: str
    target: str
    created_after: datetime
    created_before: datetime
