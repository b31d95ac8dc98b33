"""The shapes of jobs on the wire: what makes one, what changes one, and a job or a version of it as it is shown.

Three lists of the same fields, because they differ in what may be absent: a test holds them together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.api.pages import PageQuery
from runwright.domain.accounts import Name, Slots, Slug
from runwright.domain.job_options import (
    MONTH_S,
    Attempts,
    Batching,
    CatchUpOf,
    Command,
    Debounce,
    DedupWindow,
    Delay,
    Delays,
    Description,
    EndpointUrl,
    EnvironmentOf,
    EventTriggers,
    ExecutionWindow,
    Expression,
    JobOptions,
    Links,
    Metadata,
    Mode,
    Network,
    NetworkOf,
    OverlapOf,
    PayloadSchema,
    PayloadTemplate,
    PresetOf,
    Priority,
    Queue,
    RateOf,
    ResultSchema,
    RetryOn,
    Tags,
    Threshold,
    Timeout,
    Timezone,
    Ttl,
    Tty,
    WebhookUrl,
)
from runwright.domain.presets import PresetName
from runwright.domain.rates import DAY_S, MOST, Rate
from runwright.domain.retry import Jitter, Strategy
from runwright.domain.schedule import CatchUp, Overlap
from runwright.engine.signing_secrets import GRACE_S

RateMax = Annotated[int, Meta(ge=1, le=MOST, description="Another spelling of `rate_limit.max`.")]
RateWindow = Annotated[int, Meta(ge=1, le=DAY_S, description="Another spelling of `rate_limit.window_secs`.")]
Grace = Annotated[int, Meta(ge=0, le=MONTH_S)] | Annotated[float, Meta(ge=0, le=MONTH_S)]
ProjectIdent = Annotated[str, Meta(description="A project, by id or slug; without it the key's own, or `default`.")]


class JobQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a slug belongs to."""

    project_id: ProjectIdent | None = None


class JobListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of a list of jobs; without it, all that the caller may see."""

    project_id: Annotated[str | None, Meta(description="The jobs of one project, by id or slug.")] = None


class JobVersionQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a slug belongs to."""

    project_id: ProjectIdent | None = None


class ScheduleQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a slug belongs to, and how many fires to tell."""

    project_id: ProjectIdent | None = None
    count: Annotated[int, Meta(ge=1, le=100, description="How many of the fires to come: 1 to 100, default 10.")] = 10


class CreateJobRequest(JobOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new job; without a slug the name suggests it, without a name it is the slug."""

    project_id: ProjectIdent | None = None
    name: Name | None = None
    slug: Slug | None = None
    rate_limit_max: RateMax | None = None
    rate_limit_window_secs: RateWindow | None = None
    execution_mode: Annotated[Mode | None, Meta(description="Unsaid: http with an endpoint_url, else worker.")] = None


class UpdateJobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a job; a field that is named is replaced whole."""

    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    execution_mode: Mode | UnsetType = UNSET
    endpoint_url: EndpointUrl | UnsetType | None = UNSET
    fallback_endpoint_url: EndpointUrl | UnsetType | None = UNSET
    retry_on: RetryOn | UnsetType = UNSET
    heartbeat_timeout_secs: Timeout | UnsetType = UNSET
    command: Command | UnsetType = UNSET
    tty: Tty | UnsetType = UNSET
    preset: PresetOf | UnsetType = UNSET
    network: NetworkOf | UnsetType = UNSET
    queue: Queue | UnsetType = UNSET
    handler: Slug | UnsetType | None = UNSET
    max_attempts: Attempts | UnsetType = UNSET
    timeout_secs: Timeout | UnsetType = UNSET
    retry_strategy: Strategy | UnsetType = UNSET
    retry_initial_delay_secs: Delay | UnsetType = UNSET
    retry_max_delay_secs: Delay | UnsetType = UNSET
    retry_delays_secs: Delays | UnsetType = UNSET
    retry_jitter: Jitter | UnsetType = UNSET
    max_concurrency: Slots | UnsetType | None = UNSET
    max_concurrency_per_key: Slots | UnsetType | None = UNSET
    rate_limit: RateOf | UnsetType | None = UNSET
    run_ttl_secs: Ttl | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    default_metadata: Metadata | UnsetType = UNSET
    poison_pill_threshold: Threshold | UnsetType | None = UNSET
    rerun_unknown_steps: bool | UnsetType = UNSET
    cron: Expression | UnsetType | None = UNSET
    timezone: Timezone | UnsetType = UNSET
    catch_up: CatchUpOf | UnsetType = UNSET
    overlap: OverlapOf | UnsetType = UNSET
    payload_template: PayloadTemplate | UnsetType = UNSET
    payload_schema: PayloadSchema | UnsetType | None = UNSET
    result_schema: ResultSchema | UnsetType | None = UNSET
    webhook_url: WebhookUrl | UnsetType | None = UNSET
    environment: EnvironmentOf | UnsetType | None = UNSET
    execution_window_cron: ExecutionWindow | UnsetType | None = UNSET
    dedup_window_secs: DedupWindow | UnsetType | None = UNSET
    debounce: Debounce | UnsetType | None = UNSET
    batch: Batching | UnsetType | None = UNSET
    on_complete: Links | UnsetType = UNSET
    on_failure: Links | UnsetType = UNSET
    event_triggers: EventTriggers | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ChainLink(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the end of a run starts; without a template (null) it is given the same payload."""

    job: str
    payload_template: dict[str, Any] | None


class ShownTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """Which events start a run of a job; every field is always there."""

    key: str | None
    prefix: str | None
    filter: dict[str, Any]
    payload_template: dict[str, Any] | None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of a job; every field is always there."""

    name: str
    slug: str
    description: str
    execution_mode: Mode
    endpoint_url: str | None
    fallback_endpoint_url: str | None
    retry_on: tuple[int, ...]
    heartbeat_timeout_secs: int | float
    command: tuple[str, ...]
    tty: bool
    preset: PresetName
    network: Network
    queue: str
    handler: str | None
    max_attempts: int
    timeout_secs: int | float
    retry_strategy: Strategy
    retry_initial_delay_secs: int | float
    retry_max_delay_secs: int | float
    retry_delays_secs: tuple[int | float, ...]
    retry_jitter: Jitter
    max_concurrency: int | None
    max_concurrency_per_key: int | None
    rate_limit: Rate | None
    run_ttl_secs: int | float | None
    priority: int
    tags: dict[str, str]
    default_metadata: dict[str, str]
    poison_pill_threshold: int | None
    rerun_unknown_steps: bool
    cron: str | None
    timezone: str
    catch_up: CatchUp
    overlap: Overlap
    payload_template: dict[str, Any]
    payload_schema: dict[str, Any] | None
    result_schema: dict[str, Any] | None
    webhook_url: str | None
    environment: str | None
    execution_window_cron: str | None
    dedup_window_secs: int | None
    debounce: Debounce | None
    batch: Batching | None
    on_complete: tuple[ChainLink, ...]
    on_failure: tuple[ChainLink, ...]
    event_triggers: tuple[ShownTrigger, ...]
    enabled: bool


class Job(Shown, frozen=True, kw_only=True):
    """A job as it stands: its newest version. `signing_secret` is null but in the one answer that made it."""

    id: str
    job_id: str
    org_id: str
    project_id: str
    version: int
    job_version_id: str
    created_at: str
    updated_at: str
    signing_secret: str | None


class RotateSecretRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long (seconds) the secret that is replaced goes on signing beside the new one."""

    grace_secs: Grace = GRACE_S


class RotatedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new signing secret, shown this once; null where an idempotency key found that it was made before."""

    job_id: str
    signing_secret: str | None
    previous_expires_at: str | None


class JobVersion(Shown, frozen=True, kw_only=True):
    """One version of a job; it never changes."""

    id: str
    job_version_id: str
    job_id: str
    version: int
    created_at: str
    created_by: str


class JobSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a job starts runs by itself: what it says, the latest fire that made a run, and those to come.

    A disabled job does not fire: its `next_fire_at` is null and `upcoming` is empty.
    """

    job_id: str
    enabled: bool
    cron: str
    timezone: str
    catch_up: CatchUp
    overlap: Overlap
    next_fire_at: str | None
    last_fired_at: str | None
    last_run_id: str | None
    upcoming: list[str]


class CloneJobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different about the clone: its slug (default: the old one with `-copy`), name, project, and whether it
    may start runs.
    """  # fmt: skip

    slug: Slug | None = None
    name: Name | None = None
    project_id: ProjectIdent | None = None
    enabled: bool | None = None


class JobHealthQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a slug belongs to, and how far back to look."""

    project_id: ProjectIdent | None = None
    window: Annotated[str, Meta(description="How far back: `30m`, `24h`, `7d`; at most 400 days.")] = "24h"


HealthWord = Literal["healthy", "degraded", "failing", "unknown"]


class JobHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job's runs that ended between two instants.

    `success_rate` is completed to completed, failed and expired; `health` is `healthy` from 0.95 on, `degraded` from
    0.7 on, `failing` below, `unknown` where nothing ended so. Durations run from creation to end, right within 5 %.
    """

    job_id: str
    window: str
    from_at: str
    until_at: str
    health: HealthWord
    success_rate: float | None
    total: int
    completed: int
    failed: int
    timed_out: int
    crashed: int
    canceled: int
    expired: int
    dead_lettered: int
    retries: int
    p50_duration_ms: float | None
    p95_duration_ms: float | None
