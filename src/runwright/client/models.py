"""What the API answers, as records. A field that this version does not know is kept in `raw`, never refused."""

from datetime import datetime
from typing import Any, Self, TypeVar

import msgspec

FINISHED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "expired"})
TERMINAL_TYPES: frozenset[str] = frozenset({"run.completed", "run.failed", "run.cancelled", "run.expired"})

R = TypeVar("R", bound="Record")


class Record(msgspec.Struct, kw_only=True, dict=True):
    """An object of the API. Instants are aware datetimes."""

    @classmethod
    def read(cls, body: bytes | msgspec.Raw | str) -> Self:
        """Decode one object. Raises `msgspec.MsgspecError` for anything else."""
        record = msgspec.json.decode(body, type=cls)
        record.__dict__["_body"] = body
        return record

    @classmethod
    def read_all(cls, body: bytes) -> list[Self]:
        """Decode an array of objects."""
        return [cls.read(item) for item in msgspec.json.decode(body, type=list[msgspec.Raw])]

    @property
    def raw(self) -> dict[str, Any]:
        """Return the whole object as the server sent it, with what this version does not know."""
        body = self.__dict__.get("_body")
        whole: dict[str, Any] = msgspec.to_builtins(self) if body is None else msgspec.json.decode(body)
        return whole


class ExecutionTrace(msgspec.Struct, kw_only=True):
    """Where the time of an attempt went, in whole milliseconds."""

    queue_wait_ms: int = 0
    dequeue_ms: int = 0
    connect_ms: int = 0
    ttfb_ms: int = 0
    transfer_ms: int = 0
    dispatch_ms: int = 0
    total_ms: int = 0


class DispatchTrace(msgspec.Struct, kw_only=True):
    """Where the time of a dispatch went, in µs, and who answered what."""

    dns_us: int = 0
    tcp_us: int = 0
    tls_us: int = 0
    ttfb_us: int = 0
    transfer_us: int = 0
    status: int | None = None
    endpoint: str | None = None
    fallback: bool = False


class Run(Record, kw_only=True):
    """A run. `status` speaks the words of the jobs API, `state` those of the engine."""

    id: str
    status: str
    run_id: str = ""
    kind: str = "job"
    state: str = ""
    reason: str | None = None
    job_id: str | None = None
    thread_id: str | None = None
    project_id: str | None = None
    org_id: str | None = None
    attempt: int = 0
    preset: str | None = None
    lease_epoch: int = 0
    last_seq: int = 0
    payload: Any = None
    result: Any = None
    metadata: dict[str, Any] | None = None
    tags: dict[str, Any] | None = None
    error: str | None = None
    error_class: str | None = None
    triggered_by: str | None = None
    priority: int = 0
    idempotency_key: str | None = None
    idempotency_hit: bool = False
    concurrency_key: str | None = None
    batch_id: str | None = None
    parent_run_id: str | None = None
    workflow_step_run_id: str | None = None
    workflow_id: str | None = None
    workflow_version: int | None = None
    workflow_version_id: str | None = None
    continuation_of: str | None = None
    lineage_depth: int | None = None
    replay_of: str | None = None
    triggered_by_run_id: str | None = None
    replayed_as: str | None = None
    retry_of: str | None = None
    job_version: int | None = None
    job_version_id: str | None = None
    max_attempts_override: int | None = None
    timeout_secs_override: int | float | None = None
    retry_backoff: str | None = None
    retry_initial_delay_secs: int | float | None = None
    retry_max_delay_secs: int | float | None = None
    execution_trace: ExecutionTrace | None = None
    debug_mode: bool = False
    trace_id: str | None = None
    attempts_url: str | None = None
    created_by: str | None = None
    created_by_user_id: str | None = None
    created_by_user_name: str | None = None
    created_by_email: str | None = None
    joined: bool = False
    dry_run: bool = False
    model: str | None = None
    persona_id: str | None = None
    total_input_tokens: int = 0
    total_output_tokens: int = 0
    total_cost_usd: float | None = 0.0
    cache_hit_rate: float | None = None
    credits_used: int | None = 0
    duration_ms: int | None = None
    queued_ms: int | None = None
    active_ms: int | None = None
    waiting_ms: int | None = None
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    heartbeat_at: datetime | None = None
    next_retry_at: datetime | None = None
    expires_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    dead_lettered_at: datetime | None = None
    dead_letter_left_at: datetime | None = None
    erased_at: datetime | None = None
    pruned_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Tell whether the run has ended; nothing about its execution changes any more."""
        return self.state in FINISHED


class Event(Record, kw_only=True):
    """One event of a run's log; `seq` is 1, 2, 3… without a gap."""

    seq: int
    type: str
    id: str = ""
    run_id: str = ""
    event_id: str = ""
    level: str = "info"
    message: str = ""
    data: Any = None
    erased: bool = False
    created_at: datetime | None = None

    @property
    def terminal(self) -> bool:
        """Tell whether this is the last event of its run."""
        return self.type in TERMINAL_TYPES


class Change(Record, kw_only=True):
    """Where a run stands after a transaction that moved it, as the feed tells it."""

    run_id: str
    state: str
    status: str = ""
    reason: str | None = None
    project_id: str | None = None
    job_id: str | None = None
    kind: str = "job"
    attempt: int = 0
    last_seq: int = 0
    at: datetime | None = None


class Attempt(Record, kw_only=True):
    """One attempt of a run."""

    attempt: int
    lease_epoch: int = 0
    id: str = ""
    run_id: str = ""
    outcome: str | None = None
    error: str | None = None
    error_class: str | None = None
    worker_id: str | None = None
    executor: str | None = None
    queue_wait_us: int | None = None
    duration_us: int | None = None
    trace: DispatchTrace | None = None
    exchanges: list[dict[str, Any]] = msgspec.field(default_factory=list)
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Checkpoint(Record, kw_only=True):
    """A state that a job saved."""

    sequence: int
    id: str = ""
    run_id: str = ""
    source: str = ""
    state: Any = None
    created_at: datetime | None = None


class Output(Record, kw_only=True):
    """A named output of a run, the latest of its key."""

    output_key: str
    id: str = ""
    run_id: str = ""
    schema: Any = None
    value: Any = None
    created_at: datetime | None = None


class Usage(Record, kw_only=True):
    """What a call of a model used; the cost is in millionths of a US dollar."""

    provider: str
    model: str
    id: str = ""
    run_id: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cost_microusd: int | None = 0
    estimated: bool = False
    llm_call_id: str | None = None
    created_at: datetime | None = None


class ToolCall(Record, kw_only=True):
    """A call of a tool by a job."""

    tool_name: str
    id: str = ""
    run_id: str = ""
    input: Any = None
    output: Any = None
    duration_ms: int = 0
    status: str = ""
    created_at: datetime | None = None


class StateValue(Record, kw_only=True):
    """A value that a run keeps under a key: exact for its own code, for readers redacted and always an object."""

    state_key: str
    id: str = ""
    run_id: str = ""
    value: Any = None
    updated_at: datetime | None = None


class MemoryValue(Record, kw_only=True):
    """A value that a job remembers: exact for its runs, for readers redacted; `run_id` kept it last."""

    memory_key: str
    id: str = ""
    job_id: str = ""
    value: Any = None
    run_id: str = ""
    expires_at: datetime | None = None
    updated_at: datetime | None = None


class OwnSecrets(Record, kw_only=True):
    """What a run is given beside its payload: secrets and variables, by name."""

    run_id: str = ""
    secrets: dict[str, str] = msgspec.field(default_factory=dict)
    env: dict[str, str] = msgspec.field(default_factory=dict)


class Standing(Record, kw_only=True):
    """Which attempt of a run a call counted for, and the run's metadata as it is now."""

    run_id: str
    attempt: int = 0
    lease_epoch: int = 0
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class Effects(Record, kw_only=True):
    """What a run's steps did to the world, by key: finished, would repeat, and those of which nobody knows."""

    safe_to_resume: bool
    run_id: str = ""
    finished: list[str] = msgspec.field(default_factory=list)
    would_repeat: list[str] = msgspec.field(default_factory=list)
    unknown: list[str] = msgspec.field(default_factory=list)


class Artifact(Record, kw_only=True):
    """Bytes that were uploaded, under their digest."""

    digest: str = ""
    size: int = 0
    created_at: datetime | None = None


class RunValue(Record, kw_only=True):
    """What an agent run keeps under a digest, redacted; `truncated`: not every text of a workspace is shown."""

    run_id: str = ""
    digest: str = ""
    kind: str = ""
    value: Any = None
    truncated: bool = False
    created_at: datetime | None = None


class RunArtifact(Record, kw_only=True):
    """A value of a run that lies in an artifact; a sealed one is read where the run shows the value."""

    id: str = ""
    run_id: str = ""
    kind: str = ""
    key: str = ""
    digest: str = ""
    size: int | None = None
    sealed: bool = False
    created_at: datetime | None = None
