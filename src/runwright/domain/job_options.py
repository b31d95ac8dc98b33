"""What a job may say, field by field, with the bounds of each and what an unsaid one means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.domain.accounts import END, Slots, Slug
from runwright.domain.addresses import URL_MAX
from runwright.domain.presets import SMALLEST, PresetName
from runwright.domain.rates import Rate
from runwright.domain.retry import Jitter, Strategy
from runwright.domain.schedule import CatchUp, Overlap
from runwright.domain.secrets import EnvironmentName
from runwright.domain.signal import EventTrigger

DAY_S = 86_400
MONTH_S = 30 * DAY_S

Mode = Literal["worker", "http", "process"]
"""Where the code of a job runs: a handler of a worker, an endpoint that is posted to, or a command."""

Network = Literal["none", "host"]
Command = Annotated[
    tuple[Annotated[str, Meta(max_length=4096)], ...],
    Meta(max_length=256, description="The program that a process job runs, and its arguments; no shell reads them."),
]
Tty = Annotated[bool, Meta(description="Whether the command has a terminal, in place of two pipes.")]
NetworkOf = Annotated[Network, Meta(description="none: the command reaches the API alone; host: all its machine does.")]
PresetOf = Annotated[PresetName, Meta(description="CPUs and memory of the command, from micro (1, 256 MB) on.")]

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
WebhookUrl = Annotated[
    str, Meta(max_length=URL_MAX, description="An http:// or https:// address that is told of the end of each run.")
]
EnvironmentOf = Annotated[
    EnvironmentName, Meta(description="The environment of the project whose variables and secrets its runs are given.")
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

EventTriggers = Annotated[
    tuple[EventTrigger, ...], Meta(max_length=50, description="The events that start a run when they are sent.")
]


PayloadSchema = Annotated[
    dict[str, Any], Meta(description="A JSON Schema (2020-12) that the payload of every run must satisfy.")
]
ResultSchema = Annotated[
    dict[str, Any], Meta(description="A JSON Schema (2020-12); a result that does not satisfy it fails the run.")
]


ExecutionWindow = Annotated[
    str,
    Meta(max_length=200, description="Five fields, as in `cron`: runs enter their queue in minutes that match."),
]
DedupWindow = Annotated[int, Meta(ge=1, le=DAY_S, description="So long, an equal payload finds the run it made.")]
Window = Annotated[int, Meta(ge=1, le=DAY_S)] | Annotated[float, Meta(ge=0.1, le=DAY_S)]


class Debounce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Triggers of one key make one run, with the last payload: `window_secs` after the last of them, and no later than
    `max_wait_secs` after the first.
    """

    window_secs: Window
    max_wait_secs: Window


class Batching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Triggers of one key make one run with all of them: `window_secs` after the first, or as soon as `max_size` are
    there.
    """  # fmt: skip

    window_secs: Window
    max_size: Annotated[int, Meta(ge=1, le=1000)]


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The job that the end of a run starts, by its slug in the project, with the same payload or by a template.

    A template sees `{{payload.…}}`, `{{result.…}}` and `{{run.…}}`: `id`, `job_id`, `state`, `error`, `error_class`.
    """

    job: Slug
    payload_template: dict[str, Any] | None = None


RateOf = Annotated[Rate, Meta(description="How many of its runs enter their queue within any window of so long.")]
Links = Annotated[tuple[Link, ...], Meta(max_length=10, description="Jobs that are started when a run has ended so.")]


class JobOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job does not need to say, with what it then means."""

    description: Description = ""
    endpoint_url: EndpointUrl | None = None
    fallback_endpoint_url: EndpointUrl | None = None
    retry_on: RetryOn = ()
    heartbeat_timeout_secs: Timeout = HEARTBEAT_S
    command: Command = ()
    tty: Tty = False
    preset: PresetOf = SMALLEST
    network: NetworkOf = "none"
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
    rate_limit: RateOf | None = None
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
    payload_schema: PayloadSchema | None = None
    result_schema: ResultSchema | None = None
    webhook_url: WebhookUrl | None = None
    environment: EnvironmentOf | None = None
    execution_window_cron: ExecutionWindow | None = None
    dedup_window_secs: DedupWindow | None = None
    debounce: Debounce | None = None
    batch: Batching | None = None
    on_complete: Links = ()
    on_failure: Links = ()
    event_triggers: EventTriggers = ()
    enabled: bool = True
