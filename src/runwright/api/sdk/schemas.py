"""The shapes of what a running job's code sends and is answered: records as readers see them, and `stop`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.api.jobs import run_schemas as jobs
from runwright.domain.accounts import END
from runwright.domain.job_options import Metadata, Priority, Tags, Ttl
from runwright.domain.run import StopKind
from runwright.domain.signal import EventKey

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=1024)]
StateKey = Annotated[
    str, Meta(pattern=r"^(?!\.{1,2}$)[^/]{1,256}" + END, description="Up to 256 characters, no slash.")
]
Percent = Annotated[int, Meta(ge=0, le=100)] | Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[int, Meta(ge=0, le=10**9)] | Annotated[float, Meta(ge=0, le=10**9)]
Limit = Annotated[int, Meta(ge=1, le=2_592_000)] | Annotated[float, Meta(ge=1, le=2_592_000)]
Ident = Annotated[str, Meta(min_length=1, max_length=128)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Amount = Annotated[int, Meta(ge=0, le=10**12)] | Annotated[float, Meta(ge=0, le=10**12)]
Synonym = Meta(description="A synonym of the other spelling: one of the two is given.")


class LogRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line for the run's log; a `type` of its own is kept in its data."""

    message: str
    level: Literal["debug", "info", "warning", "warn", "error"] = "info"
    type: Name = "log"
    data: dict[str, Any] = {}


class ProgressRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the work is."""

    percent: Percent
    message: str = ""
    step: Text | None = None
    eta_seconds: Seconds | None = None


class AnnotateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to add to the run's metadata: at most 50, names of up to 128 and texts of up to 1024 characters."""

    annotations: dict[str, str]


class CheckpointRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state to go on from; the server counts."""

    state: dict[str, Any]
    source: Annotated[str, Meta(min_length=1, max_length=64)] = "sdk"


class OutputRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named output; with a JSON Schema (2020-12) the value is validated."""

    output_key: Name | None = None
    key: Annotated[Name | None, Synonym] = None
    value: Any
    schema: dict[str, Any] | None = None


class UsageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call of a model used: `total_tokens` is the sum unless told, the cost is in millionths of a US dollar."""

    provider: Name
    model: Name
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count | None = None
    cost_microusd: Count = 0


class ToolCallRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call of a tool: with what, and what came of it."""

    tool_name: Name
    input: Any = None
    output: Any = None
    duration_ms: Count = 0
    status: Annotated[str, Meta(min_length=1, max_length=64)] = "completed"


class IterationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which round of its work the job's code begins."""

    iteration: Annotated[int, Meta(ge=1, le=10**9)]
    description: Text = ""


class ResourcesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the job's code uses of its machine; what it does not know it leaves out."""

    cpu_percent: Amount | None = None
    memory_mb: Amount | None = None
    memory_percent: Amount | None = None


class StreamRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A piece of a stream, for whoever follows the run; `done` ends the stream."""

    chunk: str
    stream_id: Name = "default"
    done: bool = False


class StateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small JSON value that the run keeps under a key, for its later attempts and for operators."""

    state_key: StateKey | None = None
    key: Annotated[StateKey | None, Synonym] = None
    value: Any


class MemoryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON value that the job keeps under a key for all of its runs, for so long; unsaid, until it is deleted."""

    memory_key: StateKey | None = None
    key: Annotated[StateKey | None, Synonym] = None
    value: Any
    ttl_secs: Ttl | None = None


class WaitForEventRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event to wait for, and for how long. `name` tells several waits of one run for one key apart."""

    event_key: EventKey | None = None
    key: Annotated[EventKey | None, Synonym] = None
    timeout_secs: Limit = 3600
    name: Name | None = None


class SpawnRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run of a job of the same project. With `await_completion` this run waits for its end, at most so long.

    `name` tells several awaited runs of one job apart.
    """

    job_slug: Ident | None = None
    job: Annotated[Ident | None, Synonym] = None
    project_id: Ident | None = None
    payload: dict[str, Any] = {}
    tags: Tags = {}
    metadata: Metadata = {}
    priority: Priority | None = None
    concurrency_key: Name | None = None
    ttl_secs: Ttl | None = None
    idempotency_key: Name | None = None
    await_completion: bool = False
    await_timeout_secs: Limit | None = None
    name: Name | None = None


class ContinueRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run of the same job that goes on where this one ends."""

    payload: dict[str, Any] | None = None
    idempotency_key: Name | None = None


class CompleteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of the run: an object is kept as it is, other JSON as `{"value": …}`, null as no result."""

    result: Any = None


class FailRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What went wrong; unless it is `retryable`, no other attempt follows."""

    error: str
    error_class: Name = "Error"
    retryable: bool = True


class SavedEvent(jobs.Event, frozen=True, kw_only=True):
    """The event that was appended, as it stands in the log."""

    stop: StopKind | None


class SavedCheckpoint(jobs.Checkpoint, frozen=True, kw_only=True):
    """The checkpoint that was saved."""

    stop: StopKind | None


class SavedOutput(jobs.Output, frozen=True, kw_only=True):
    """The output that was saved."""

    stop: StopKind | None


class SavedUsage(jobs.Usage, frozen=True, kw_only=True):
    """The usage that was recorded."""

    stop: StopKind | None


class SavedToolCall(jobs.ToolCall, frozen=True, kw_only=True):
    """The tool call that was recorded."""

    stop: StopKind | None


class EndedRun(jobs.Run, frozen=True, kw_only=True):
    """The run after its attempt ended: finished, or waiting for its next attempt."""

    stop: StopKind | None


class OwnCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint of the run, exact."""

    run_id: str
    sequence: int
    state: dict[str, Any]
    created_at: str


class OwnState(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the run keeps, exact."""

    run_id: str
    state_key: str
    value: Any
    updated_at: str


class OwnMemory(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the job remembers, exact; `run_id` is the run that kept it last."""

    memory_key: str
    value: Any
    run_id: str
    expires_at: str | None
    updated_at: str


class SavedMemory(OwnMemory, frozen=True, kw_only=True):
    """The value that was kept."""

    stop: StopKind | None


class OwnSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """What the run is given beside its payload: values of secrets, and variables, by name."""

    run_id: str
    secrets: dict[str, str]
    env: dict[str, str]


class SavedState(OwnState, frozen=True, kw_only=True):
    """The value that was kept."""

    stop: StopKind | None


class ChildEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a child, its result exact."""

    run_id: str
    status: str
    result: dict[str, Any] | None
    error: str | None
    error_class: str | None


class SpawnedRun(jobs.Run, frozen=True, kw_only=True):
    """The run that was made, or that was made before.

    `parent_status` is that of the run which asked: `waiting` for the end, unless `awaited` tells that already.
    """

    idempotency_hit: bool
    parent_status: str
    awaited: ChildEnd | None
    stop: StopKind | None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a wait: `received` with the `payload`, or anything else, and the attempt is over.

    Then `status` is the run's: `waiting` until the event comes or the time limit does, `queued` if it was there.
    """

    run_id: str
    status: str
    event_key: str
    payload: dict[str, Any] | None
    expires_at: str | None
    trigger_id: str
    stop: StopKind | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempt the call counted for, what the run is asked to do, and its metadata as it is now."""

    run_id: str
    attempt: int
    lease_epoch: int
    metadata: dict[str, str]
    stop: StopKind | None
