"""The shapes of the worker protocol."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.domain.accounts import END, Slug
from runwright.domain.events import Level
from runwright.domain.job_options import Queue
from runwright.domain.run import StopKind
from runwright.domain.workforce import PROTOCOL

WorkerId = Annotated[str, Meta(pattern=r"^wrk_[0-9a-f]{32}" + END, description="Made anew at each start.")]
RunId = Annotated[str, Meta(min_length=1, max_length=64)]
Epoch = Annotated[int, Meta(ge=1)]
Number = Annotated[int, Meta(ge=1, description="1, 2, 3 … by attempt: what is sent twice is stored once.")]
ShortText = Annotated[str, Meta(max_length=255)]
Key = Annotated[str, Meta(min_length=1, max_length=512)]
Kind = Literal["step", "checkpoint", "output", "state"]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ClaimRequest(_Body, frozen=True, kw_only=True):
    """What a worker is, and how many runs it has room for. `running` and `recover` bring back what was lost on the way.

    Without `queues` it takes from every queue. With no room it still waits, and hears of stop requests.
    """

    worker_id: WorkerId
    protocol: int = PROTOCOL
    name: ShortText = ""
    version: ShortText = ""
    sdk: ShortText = ""
    queues: Annotated[tuple[Queue, ...], Meta(max_length=100)] = ()
    jobs: Annotated[tuple[Slug, ...], Meta(max_length=1000, description="The handlers it has.")] = ()
    processes: Annotated[bool, Meta(description="Whether it runs commands in a sandbox.")] = False
    slots: Annotated[int, Meta(ge=1, le=100_000)]
    free: Annotated[int, Meta(ge=0, le=100_000)]
    wait_secs: Annotated[float, Meta(ge=0, le=300)] = 0.0
    running: Annotated[tuple[RunId, ...], Meta(max_length=100_000)] = ()
    recover: bool = False


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The command of a process run, and with how much it runs. `network`: with the machine's, else with none."""

    command: tuple[str, ...]
    tty: bool
    network: bool
    preset: str
    cpus: int
    memory_mb: int


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is the worker's under a lease. `run_token` proves it on `/sdk/v1`; `secrets` are its alone."""

    run_id: str
    job_id: str | None
    job: str
    project_id: str
    attempt: int
    lease_epoch: int
    payload: Any
    metadata: dict[str, str]
    tags: dict[str, str]
    secrets: dict[str, str]
    env: dict[str, str]
    idempotency_key: str | None
    rerun_unknown_steps: bool
    timeout_secs: float | None
    trace_id: str
    run_token: str
    from_checkpoint: int | None
    process: Process | None
    stop: StopKind | None


class StopRequest(msgspec.Struct, frozen=True):
    """A run that somebody asked to stop."""

    run_id: str
    lease_epoch: int
    kind: StopKind


class ClaimAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Runs to execute and runs to stop. `drain`: take no more, and end when the runs have."""

    assignments: list[Assignment]
    stops: list[StopRequest]
    drain: bool
    notice: str | None
    now: int
    server_version: str
    lease_secs: float
    heartbeat_secs: float
    stop_grace_secs: float


class LeaseRef(_Body, frozen=True, kw_only=True):
    """A lease of a run."""

    run_id: RunId
    lease_epoch: Epoch


class HeartbeatRequest(_Body, frozen=True, kw_only=True):
    """The leases that a worker still holds."""

    worker_id: WorkerId
    runs: Annotated[tuple[LeaseRef, ...], Meta(max_length=100_000)] = ()


class HeartbeatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Which leases are lost (stop working on them), and which runs somebody asked to stop."""

    lost: list[str]
    stops: list[StopRequest]
    drain: bool


class Note(_Body, frozen=True, kw_only=True):
    """An event that the job writes."""

    type: Annotated[str, Meta(max_length=64)]
    data: dict[str, Any] = {}
    level: Level = "info"
    message: str = ""


class KeptValue(_Body, frozen=True, kw_only=True):
    """A working value to keep; `schema` is an output's JSON Schema."""

    kind: Kind
    key: Key
    data: Any
    schema: dict[str, Any] | None = None


class KeptKey(_Body, frozen=True, kw_only=True):
    """A value to forget."""

    kind: Kind
    key: Key


class Saving(_Body, frozen=True, kw_only=True):
    """Events, and the values that they tell of; the last event comes with the value.

    `annotations` join the run's metadata.
    """

    events: tuple[Note, ...] = ()
    values: tuple[KeptValue, ...] = ()
    removed: tuple[KeptKey, ...] = ()
    annotations: dict[str, str] = {}


class AppendItem(_Body, frozen=True, kw_only=True):
    """What one attempt wrote, in order."""

    run_id: RunId
    lease_epoch: Epoch
    number: Number
    savings: Annotated[tuple[Saving, ...], Meta(max_length=10_000)] = ()


class AppendRequest(_Body, frozen=True, kw_only=True):
    """What several attempts of a worker wrote."""

    worker_id: WorkerId
    items: tuple[AppendItem, ...]


class Completed(_Body, frozen=True, kw_only=True, tag_field="status", tag="completed"):
    """The work is done; a result that is no object is kept as `{"value": …}`."""

    result: Any = None


class Failed(_Body, frozen=True, kw_only=True, tag_field="status", tag="failed"):
    """The attempt failed."""

    error_class: Annotated[str, Meta(min_length=1, max_length=255)]
    message: Annotated[str, Meta(max_length=4096)]
    retryable: bool = True
    code: Annotated[str, Meta(max_length=128)] | None = None
    retry_after_secs: Annotated[float, Meta(ge=0, le=2_592_000)] | None = None
    traceback: Annotated[str, Meta(max_length=8192)] = ""
    reason: Literal["error", "timeout"] = "error"


class Parked(_Body, frozen=True, kw_only=True, tag_field="status", tag="parked"):
    """The work sleeps until `wake_at` (microseconds since the epoch) and is then called again.

    Or it waits `on` an event or a child, named by `key`, at most until `wake_at` (null: for ever); what comes is then
    the result of its step `name`.
    """

    wake_at: int | None
    on: Literal["timer", "event", "child"] = "timer"
    key: Annotated[str, Meta(max_length=512)] = ""
    name: Annotated[str, Meta(max_length=1024)] = ""


class Stopped(_Body, frozen=True, kw_only=True, tag_field="status", tag="stopped"):
    """The attempt stopped, as it was asked."""


class Released(_Body, frozen=True, kw_only=True, tag_field="status", tag="released"):
    """The worker hands the run back unharmed, because it drains."""


class FinishItem(_Body, frozen=True, kw_only=True):
    """How an attempt ended, with the last of what it wrote."""

    run_id: RunId
    lease_epoch: Epoch
    number: Number | None = None
    savings: Annotated[tuple[Saving, ...], Meta(max_length=10_000)] = ()
    outcome: Completed | Failed | Parked | Stopped | Released


class FinishRequest(_Body, frozen=True, kw_only=True):
    """The ends of several attempts of a worker."""

    worker_id: WorkerId
    items: tuple[FinishItem, ...]


class ItemResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item: `code` and `error` where it was refused, `stop` where somebody asked the run to stop."""

    run_id: str
    code: str | None
    error: str | None
    retryable: bool
    stop: StopKind | None


class Results(msgspec.Struct, frozen=True):
    """What became of each item, in order."""

    results: list[ItemResult]


class KeptRequest(_Body, frozen=True, kw_only=True):
    """Which values of a run to return: those of a kind, beyond the key `after`."""

    worker_id: WorkerId
    run_id: RunId
    lease_epoch: Epoch
    kind: Kind
    after: Key | None = None


class KeptAnswer(msgspec.Struct, frozen=True):
    """Values by key, in the order of the keys; `next` is where to go on, null at the end."""

    values: dict[str, Any]
    next: str | None


class LeaveRequest(_Body, frozen=True, kw_only=True):
    """A worker's good-bye."""

    worker_id: WorkerId
