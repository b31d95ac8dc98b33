"""The job: what a trigger makes runs of, in versions that never change, and what its fields mean for a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright import ids
from runwright.domain import limits as keys
from runwright.domain.accounts import END, Name, Project, Slots, Slug
from runwright.domain.addresses import URL_MAX, url_problem
from runwright.domain.retry import Jitter, RetryPolicy, Strategy
from runwright.domain.run import Limit
from runwright.domain.schedule import CatchUp, Cron, Overlap, cron_problem, timezone_problem
from runwright.errors import FieldError

DAY_S = 86_400
MONTH_S = 30 * DAY_S

Mode = Literal["worker", "http"]
"""Where the code of a job runs: in a worker that has its handler, or behind an endpoint that is posted to."""

Description = Annotated[str, Meta(max_length=2000)]
Queue = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}" + END)]
Attempts = Annotated[int, Meta(ge=1, le=100)]
Timeout = Annotated[int, Meta(ge=1, le=DAY_S)] | Annotated[float, Meta(ge=1, le=DAY_S)]
Delay = Annotated[int, Meta(ge=0, le=MONTH_S)] | Annotated[float, Meta(ge=0, le=MONTH_S)]
Ttl = Annotated[int, Meta(ge=1, le=MONTH_S)] | Annotated[float, Meta(ge=1, le=MONTH_S)]
Delays = Annotated[tuple[Delay, ...], Meta(max_length=100, description="The rests of the strategy `custom`.")]
Priority = Annotated[int, Meta(ge=0, le=10)]
Key = Annotated[str, Meta(min_length=1, max_length=64)]
Tags = Annotated[dict[Key, Annotated[str, Meta(max_length=256)]], Meta(max_length=64)]
Metadata = Annotated[dict[Key, Annotated[str, Meta(max_length=1024)]], Meta(max_length=64)]
Threshold = Annotated[int, Meta(ge=1, le=100, description="So many identical errors in a row end the retries.")]

EndpointUrl = Annotated[
    str, Meta(max_length=URL_MAX, description="An http:// or https:// address, which runs are posted to.")
]
Status = Annotated[int, Meta(ge=300, le=599)]
RetryOn = Annotated[
    tuple[Status, ...],
    Meta(max_length=100, description="Statuses after which to try again, instead of 408, 409, 425, 429 and 5xx."),
]
HEARTBEAT_S = 60

Expression = Annotated[
    str,
    Meta(max_length=200, description="Five fields, minute to day of week: when runs are started, without a trigger."),
]
Timezone = Annotated[str, Meta(max_length=64, description="The IANA time zone whose clock `cron` reads.")]
CatchUpOf = Annotated[CatchUp, Meta(description="What becomes of fires that were missed while no server was there.")]
OverlapOf = Annotated[Overlap, Meta(description="What a fire does while the run of the fire before it is unfinished.")]
PayloadTemplate = Annotated[dict[str, Any], Meta(description="The payload of the runs that `cron` starts.")]


class JobOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job does not need to say, with what it then means."""

    description: Description = ""
    execution_mode: Mode = "worker"
    endpoint_url: EndpointUrl | None = None
    fallback_endpoint_url: EndpointUrl | None = None
    retry_on: RetryOn = ()
    heartbeat_timeout_secs: Timeout = HEARTBEAT_S
    queue: Queue = "default"
    handler: Slug | None = None
    max_attempts: Attempts = 3
    timeout_secs: Timeout = 300
    retry_strategy: Strategy = "exponential"
    retry_initial_delay_secs: Delay = 1
    retry_max_delay_secs: Delay = 3600
    retry_delays_secs: Delays = ()
    retry_jitter: Jitter = "proportional"
    max_concurrency: Slots | None = None
    max_concurrency_per_key: Slots | None = None
    run_ttl_secs: Ttl | None = None
    priority: Priority = 0
    tags: Tags = {}
    default_metadata: Metadata = {}
    poison_pill_threshold: Threshold | None = None
    rerun_unknown_steps: bool = False
    cron: Expression | None = None
    timezone: Timezone = "UTC"
    catch_up: CatchUpOf = "one"
    overlap: OverlapOf = "allow"
    payload_template: PayloadTemplate = {}
    enabled: bool = True


class JobDefinition(JobOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a job that a user decides; each effective change makes a version."""

    name: Name
    slug: Slug

    @property
    def schedule(self) -> Cron | None:
        """Return when the job starts runs by itself; None for one that waits for triggers."""
        return None if self.cron is None else Cron(self.cron, self.timezone)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands: its newest version, which new runs pin."""

    job_id: str
    org_id: str
    project_id: str
    version: int
    job_version_id: str
    definition: JobDefinition
    created_at: int
    updated_at: int

    @property
    def slug(self) -> str:
        """Return the name by which the project calls it."""
        return self.definition.slug

    @property
    def handler(self) -> str | None:
        """Return the handler that workers run it with: the job's slug unless it names another; None for http."""
        if self.definition.execution_mode == "http":
            return None
        return self.definition.handler or self.definition.slug


class JobVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a job, as runs that started with it go on seeing it."""

    job_version_id: str
    job_id: str
    version: int
    definition: JobDefinition
    created_at: int
    created_by: str


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger may say of its one run instead of the job; the names are those of the trigger's fields."""

    max_attempts_override: int | None = None
    retry_backoff: Strategy | None = None
    retry_initial_delay_secs: int | float | None = None
    retry_max_delay_secs: int | float | None = None


def problems(definition: JobDefinition, *, allow_private: bool = False) -> list[FieldError]:
    """Return what no single field's type can refuse; an empty list for a definition that may be stored.

    `allow_private` lets endpoints lie in private networks, for development.
    """
    found = _endpoint_problems(definition, allow_private) + _schedule_problems(definition)
    if ids.is_id("job", definition.slug):
        found.append(FieldError("slug", "must not look like the id of a job"))
    if definition.retry_strategy == "custom" and not definition.retry_delays_secs:
        found.append(FieldError("retry_delays_secs", "is required by the strategy custom"))
    if definition.retry_strategy != "custom" and definition.retry_delays_secs:
        found.append(FieldError("retry_delays_secs", "is only for the strategy custom"))
    return found


def _endpoint_problems(definition: JobDefinition, allow_private: bool) -> list[FieldError]:
    if definition.execution_mode == "http":
        of_others = {"handler": definition.handler, "rerun_unknown_steps": definition.rerun_unknown_steps}
        found = [
            FieldError(name, "is only for the execution mode worker") for name, given in of_others.items() if given
        ]
        if definition.endpoint_url is None:
            found.append(FieldError("endpoint_url", "is required by the execution mode http"))
        urls = {name: getattr(definition, name) for name in ("endpoint_url", "fallback_endpoint_url")}
        said = {name: url_problem(url, allow_private=allow_private) for name, url in urls.items() if url is not None}
        return found + [FieldError(name, problem) for name, problem in said.items() if problem is not None]
    of_http = {
        "endpoint_url": definition.endpoint_url is not None,
        "fallback_endpoint_url": definition.fallback_endpoint_url is not None,
        "retry_on": definition.retry_on != (),
        "heartbeat_timeout_secs": definition.heartbeat_timeout_secs != HEARTBEAT_S,
    }
    return [FieldError(name, "is only for the execution mode http") for name, given in of_http.items() if given]


def _schedule_problems(definition: JobDefinition) -> list[FieldError]:
    if definition.cron is None:
        of_schedules = {
            "timezone": definition.timezone != "UTC",
            "catch_up": definition.catch_up != "one",
            "overlap": definition.overlap != "allow",
            "payload_template": definition.payload_template != {},
        }
        return [FieldError(name, "is only for a job with cron") for name, given in of_schedules.items() if given]
    zone = timezone_problem(definition.timezone)
    said = {"cron": cron_problem(definition.cron), "timezone": zone}
    return [FieldError(name, problem) for name, problem in said.items() if problem is not None]


def override_problems(definition: JobDefinition, overrides: Overrides) -> list[FieldError]:
    """Return why these overrides make no policy of the job's, if they do not."""
    if overrides.retry_backoff == "custom" and not definition.retry_delays_secs:
        return [FieldError("retry_backoff", "can only be custom for a job that has retry_delays_secs")]
    return []


def retry_policy(definition: JobDefinition, overrides: Overrides = Overrides()) -> RetryPolicy:  # noqa: B008 - frozen
    """Return the policy of a run of this job; what the trigger overrides wins.

    Raises `ValueError` for overrides that `override_problems` names.
    """
    strategy = overrides.retry_backoff or definition.retry_strategy
    attempts = overrides.max_attempts_override
    return RetryPolicy(
        strategy=strategy,
        max_attempts=definition.max_attempts if attempts is None else attempts,
        initial_ms=_ms(_first(overrides.retry_initial_delay_secs, definition.retry_initial_delay_secs)),
        max_ms=_ms(_first(overrides.retry_max_delay_secs, definition.retry_max_delay_secs)),
        delays_ms=tuple(map(_ms, definition.retry_delays_secs)) if strategy == "custom" else (),
        jitter=definition.retry_jitter,
    )


def heartbeat_ms(definition: JobDefinition) -> int | None:
    """Return how long an endpoint that accepted a run may be silent; None where none does."""
    return _ms(definition.heartbeat_timeout_secs) if definition.execution_mode == "http" else None


def limits(definition: JobDefinition, job_id: str, project: Project, concurrency_key: str | None) -> tuple[Limit, ...]:
    """Return the limits that a run of this job must own a slot of, by key; none where nothing is bounded."""
    found = []
    if definition.max_concurrency is not None:
        found.append(Limit(keys.job_key(job_id), definition.max_concurrency))
    if definition.max_concurrency_per_key is not None and concurrency_key is not None:
        found.append(Limit(keys.concurrency_key(job_id, concurrency_key), definition.max_concurrency_per_key))
    if project.max_concurrency is not None:
        found.append(Limit(keys.project_key(project.project_id), project.max_concurrency))
    return tuple(sorted(found, key=lambda limit: limit.key))


def _first(override: int | float | None, default: int | float) -> int | float:
    return default if override is None else override


def _ms(seconds: int | float) -> int:
    return round(seconds * 1000)
