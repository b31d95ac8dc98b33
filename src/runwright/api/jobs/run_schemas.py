"""The shapes of runs and their records on the wire: the union of what seeds 001 and 002 show, and ours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from runwright.api.instants import Instant
from runwright.api.pages import PageQuery
from runwright.domain.events import Level
from runwright.domain.job_options import Attempts, Delay, Key, Metadata, Mode, Priority, Tags, Timeout, Ttl
from runwright.domain.retry import Strategy
from runwright.domain.run import State

Text256 = Annotated[str, Meta(min_length=1, max_length=256)]
Seq = Annotated[int, Meta(ge=0, lt=10**18)]
Kind = Literal["job", "workflow", "agent", "runtime", "delivery", "all"]
TriggeredBy = Literal["manual", "cron", "spawn", "workflow", "retry", "event"]
Word = Literal[
    "delayed", "queued", "dequeued", "executing", "waiting", "paused", "completed", "failed", "timed_out", "crashed",
    "system_failed", "canceled", "expired", "dead_letter",
    "running", "cancelling", "waiting_for_input", "cancelled",
]  # fmt: skip
"""What a run shows: one of a job the words of the jobs surface, one of an agent those of threads."""


class ExecutionTrace(msgspec.Struct, frozen=True):
    """Where the time of the current attempt went, in whole milliseconds; phases that an executor lacks are 0."""

    queue_wait_ms: int
    dequeue_ms: int
    connect_ms: int
    ttfb_ms: int
    transfer_ms: int
    total_ms: int
    dispatch_ms: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run. Every field is always there; what is unset is null, a map without entries `{}`."""

    id: str
    run_id: str
    job_id: str | None
    project_id: str
    org_id: str
    thread_id: str | None
    kind: str
    status: Word
    state: State
    reason: str | None
    attempt: int
    payload: dict[str, Any]
    result: dict[str, Any] | None
    metadata: dict[str, str]
    tags: dict[str, str]
    error: str | None
    error_class: str | None
    preset: str | None
    triggered_by: str
    scheduled_at: str | None
    started_at: str | None
    finished_at: str | None
    heartbeat_at: str | None
    next_retry_at: str | None
    expires_at: str | None
    parent_run_id: str | None
    priority: int
    idempotency_key: str | None
    job_version: int | None
    job_version_id: str | None
    workflow_step_run_id: str | None
    workflow_id: str | None
    workflow_version: int | None
    workflow_version_id: str | None
    max_attempts_override: int | None
    timeout_secs_override: int | float | None
    retry_backoff: str | None
    retry_initial_delay_secs: int | float | None
    retry_max_delay_secs: int | float | None
    execution_trace: ExecutionTrace | None
    debug_mode: bool
    continuation_of: str | None
    lineage_depth: int
    created_by: str
    created_by_user_id: str | None
    created_by_user_name: str | None
    created_by_email: str | None
    batch_id: str | None
    concurrency_key: str | None
    created_at: str
    completed_at: str | None
    failed_at: str | None
    model: str | None
    persona_id: str | None
    total_input_tokens: int
    total_output_tokens: int
    total_cost_usd: float | None
    duration_ms: int | None
    cache_hit_rate: float | None
    credits_used: int | None
    trace_id: str
    lease_epoch: int
    attempts_url: str
    last_seq: int
    replay_of: str | None
    triggered_by_run_id: str | None
    replayed_as: str | None
    retry_of: str | None
    dead_lettered_at: str | None
    dead_letter_left_at: str | None
    erased_at: str | None
    pruned_at: str | None
    cancel_requested_at: str | None
    queued_ms: int
    active_ms: int
    waiting_ms: int


class TriggeredRun(Run, frozen=True, kw_only=True):
    """The run that a trigger made, the one that its idempotency key had made before, or the one that it joined."""

    idempotency_hit: bool
    joined: bool
    dry_run: bool


class TriggerRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run: the payload, and what this one run does otherwise than its job says."""

    payload: dict[str, Any] = {}
    tags: Tags = {}
    metadata: Metadata = {}
    idempotency_key: Text256 | None = None
    scheduled_at: Instant | None = None
    priority: Priority | None = None
    ttl_secs: Ttl | None = None
    concurrency_key: Text256 | None = None
    debounce_key: Text256 | None = None
    batch_key: Text256 | None = None
    max_attempts_override: Attempts | None = None
    timeout_secs_override: Timeout | None = None
    retry_backoff: Strategy | None = None
    retry_initial_delay_secs: Delay | None = None
    retry_max_delay_secs: Delay | None = None
    parent_run_id: str | None = None
    debug_mode: bool = False
    dry_run: bool = False


class BulkTriggerRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many runs of one job, made in one transaction."""

    items: Annotated[list[TriggerRequest], Meta(min_length=1)]


class BulkTriggerResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item: the run, or the code and message it was refused with."""

    id: str | None
    status: Word | None
    idempotency_hit: bool
    error: str | None
    code: str | None


class BulkTriggerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The results in the order of the items."""

    batch_id: str
    results: list[BulkTriggerResult]
    total: int
    created: int


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the replay differs from the original: another payload, or a JSON Merge Patch of it (RFC 7396).

    With `from_checkpoint` the new run begins with that checkpoint of the original as its own first one.
    """

    payload: dict[str, Any] | None = None
    payload_patch: dict[str, Any] | None = None
    from_checkpoint: Annotated[int, Meta(ge=1, lt=10**9)] | None = None
    version: Literal["same", "latest"] = "same"
    debug_mode: bool = False
    force: bool = False
    from_failed: Annotated[
        bool, Meta(description="Of a workflow's run: take over the steps that completed, and do the others again.")
    ] = False


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; it is written into the run's log, with how much of it the caller had seen (`last_seen_seq`)."""

    reason: Annotated[str, Meta(max_length=1000)] | None = None
    last_seen_seq: Seq | None = None


class Accepted(msgspec.Struct, frozen=True):
    """The command was accepted."""

    ok: bool


class RunQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of a list of runs; all of them combine."""

    project_id: str | None = None
    status: list[str] = field(default_factory=list)
    state: list[State] = field(default_factory=list)
    kind: list[Kind] = field(default_factory=list)
    job_id: str | None = None
    triggered_by: TriggeredBy | None = None
    batch_id: str | None = None
    payload_contains: Annotated[str | None, Meta(description="JSON that the payload contains, as jsonb's @>.")] = None
    metadata: dict[str, str] = field(default_factory=dict)
    metadata_key: Key | None = None
    metadata_value: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    tag_key: Key | None = None
    tag_value: str | None = None
    concurrency_key: str | None = None
    parent_run_id: str | None = None
    error_class: str | None = None
    execution_mode: Mode | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    finished_after: Instant | None = None
    finished_before: Instant | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a run's log; `erased` says that its data and message are gone."""

    id: str
    run_id: str
    type: str
    level: str
    message: str
    data: Any
    created_at: str
    seq: int
    erased: bool


class EventsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in the log to begin, and what to leave out."""

    after_seq: Seq | None = None
    level: Level | None = None
    type: str | None = None
    types: Annotated[str | None, Meta(description="Event types, separated by commas.")] = None
    follow: Annotated[bool, Meta(description="Streams: false ends after the events that are there.")] = True
    named: Annotated[bool, Meta(description="Streams: add an `event:` line with the type.")] = False


class ChunksQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in the log a stream begins, and whether it waits."""

    after_seq: Seq | None = None
    follow: Annotated[bool, Meta(description="false ends after the events that are there.")] = True
    named: Annotated[bool, Meta(description="Add an `event:` line with the type.")] = False


class StreamQuery(ChunksQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in the log a stream begins, and what it leaves out."""

    types: Annotated[str | None, Meta(description="Event types, separated by commas.")] = None


class DispatchTrace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a dispatch went, in µs (a connection that was used before took none to come about).

    `endpoint` is the scheme and host that was asked last, `fallback` tells whether that was the fallback endpoint, and
    `status` is what it answered, null when there was no answer.
    """

    dns_us: int
    tcp_us: int
    tls_us: int
    ttfb_us: int
    transfer_us: int
    status: int | None
    endpoint: str | None
    fallback: bool


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What was handed to the code of an attempt, or came back from it, recorded in debug mode and redacted.

    `head` holds what went with the body: headers, or what a worker is told; `bytes` is the length of the whole body.
    """

    way: Literal["request", "response"]
    head: dict[str, Any]
    body: str
    bytes: int
    truncated: bool
    created_at: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One lease of a run: who had it, how long, and how it ended; the one under way has no end."""

    id: str
    run_id: str
    attempt: int
    lease_epoch: int
    executor: str
    worker_id: str
    started_at: str
    ended_at: str | None
    outcome: str | None
    error_class: str | None
    error: str | None
    queue_wait_us: int
    duration_us: int | None
    trace: DispatchTrace | None
    exchanges: list[Exchange]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A state that the job saved."""

    id: str
    run_id: str
    sequence: int
    source: str
    state: dict[str, Any]
    created_at: str


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A named output of a run, the latest under its key."""

    id: str
    run_id: str
    output_key: str
    schema: dict[str, Any] | None
    value: dict[str, Any]
    created_at: str


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a call of a model used; the cost is in millionths of a US dollar, null where an agent's model has no price.

    An `estimated` one is settled at all that was reserved for it: its outcome is unknown.
    """

    id: str
    run_id: str
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int
    cost_microusd: int | None
    estimated: bool
    llm_call_id: str | None
    created_at: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool by the job; an input or output that is no object is shown as `{"value": …}`."""

    id: str
    run_id: str
    tool_name: str
    input: dict[str, Any] | None
    output: dict[str, Any] | None
    duration_ms: int
    status: str
    created_at: str


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the run keeps under a key; one that is no object is shown as `{"value": …}`."""

    id: str
    run_id: str
    state_key: str
    value: dict[str, Any]
    updated_at: str


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What the run's steps did: finished ones are kept, repeated ones would run again, of unknown ones nobody knows."""

    run_id: str
    finished: list[str]
    would_repeat: list[str]
    unknown: list[str]
    safe_to_resume: bool
