"""The run: what it was asked to be (`Spec`, fixed at creation) and where it stands (`Run`).

Instants are microseconds since the epoch (UTC). A `Run` is frozen: `domain.state.decide` makes the next one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from runwright.domain.agent_terms import AgentTerms
from runwright.domain.approval import Open
from runwright.domain.course import Course
from runwright.domain.lane import queue_key
from runwright.domain.rates import Rate
from runwright.domain.redaction import RedactedText
from runwright.domain.retry import RetryPolicy, Strategy
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.domain.schedule import Cron

State = Literal["scheduled", "queued", "executing", "waiting", "paused", "completed", "failed", "cancelled", "expired"]
STATES: tuple[State, ...] = (
    "scheduled",
    "queued",
    "executing",
    "waiting",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "expired",
)
TERMINAL: frozenset[str] = frozenset({"completed", "failed", "cancelled", "expired"})
LIVE: tuple[State, ...] = ("scheduled", "queued", "executing", "waiting", "paused")

StopKind = Literal["cancel", "restart", "pause"]

On = Literal["timer", "event", "child", "dependency", "input", "approval"]
"""What a run may wait for; a waiting run's reason."""

AGENT = "agent"
"""The kind of an agent run, and its executor."""

RUNTIME, ORCHESTRATED = "runtime", "orchestrated"
"""The kind of a runtime run, and its executor."""

LOOP, OMAR = "loop", "omar"
"""The kind of a remediation loop, which is a runtime run, and its executor."""

DELIVERY = "delivery"
"""The kind of a run that hands over what another one made, and its executor."""

CONVERSING: frozenset[str] = frozenset({AGENT, RUNTIME, LOOP, DELIVERY})
"""The kinds of runs that go on after a lost worker where they were, and whose log opens with `run.started`."""

ENDPOINT = "endpoint"
"""Who holds the lease of a run that an endpoint accepted and will finish by calls of its own."""


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """A concurrency limit that a run must own a slot of before it is queued: its key and its size."""

    key: str
    max: int


class Wait(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a waiting run waits for: `on` what, and which one (`key`: an event's key, a child's id; "" for any).

    What it is then given is kept under `name`, so that the run's code finds it again, however often it begins. A wait
    that begins with the run, or when that is due, takes `limit_s` at most.
    """

    on: On
    key: str = ""
    name: str = ""
    limit_s: int | None = None
    approval: Open | None = None
    """What a run that waits on approval must know of it, to be decided upon."""


class Gather(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which triggers a run gathers before it begins, and for how long: see `domain.gathering`."""

    kind: Literal["debounce", "batch"]
    key: str
    window_us: int
    max_wait_us: int = 0
    max_size: int = 0


class WorkflowRef(msgspec.Struct, frozen=True):
    """The version of a workflow that a run is of."""

    workflow_id: str
    version: int
    workflow_version_id: str


class ValueRef(msgspec.Struct, frozen=True, array_like=False):
    """What a record says of a working value: its digest, its size, and a redacted preview."""

    sha256: str
    bytes: int
    preview: RedactedText


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run was asked to be. Its bytes open the run's log and are the genesis of its chain."""

    run_id: str
    org_id: str
    project_id: str
    kind: str = "job"
    executor: str = "worker"
    queue: str = "default"
    job_id: str | None = None
    handler: str | None = None
    job_version: int | None = None
    job_version_id: str | None = None
    payload: ValueRef
    priority: int = 0
    weight: float = 1.0
    max_attempts: int = 1
    timeout_s: float | None = None
    heartbeat_ms: int | None = None
    retry: RetryPolicy = RetryPolicy()
    checks_result: bool = False
    poison_pill_threshold: int | None = None
    rerun_unknown_steps: bool = False
    preset: str | None = None
    limits: tuple[Limit, ...] = ()
    gather: Gather | None = None
    window: Cron | None = None
    rate: Rate | None = None
    concurrency_key: str | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    idempotency_key: str | None = None
    triggered_by: str = "manual"
    dependency_key: str | None = None
    batch_id: str | None = None
    parent_run_id: str | None = None
    continuation_of: str | None = None
    lineage_root: str | None = None
    lineage_depth: int = 0
    replay_of: str | None = None
    triggered_by_run_id: str | None = None
    chains: tuple[State, ...] = ()
    chain_depth: int = 0
    trace_id: str
    created_at: int
    created_by: str
    created_by_user_id: str | None = None
    created_by_user_name: str | None = None
    created_by_email: str | None = None
    scheduled_at: int | None = None
    debug_mode: bool = False
    from_checkpoint: int | None = None
    max_attempts_override: int | None = None
    timeout_secs_override: float | None = None
    retry_backoff: Strategy | None = None
    retry_initial_delay_secs: float | None = None
    retry_max_delay_secs: float | None = None
    webhook: bool = False
    """Whether its job's version names an address that is told of its end."""
    environment: str | None = None
    agent: AgentTerms | None = None
    runtime: RuntimeTerms | None = None
    workflow: WorkflowRef | None = None
    """What a run of the kind workflow is a run of."""
    step: str | None = None
    """The step of its parent, a workflow's run, that it is."""

    @property
    def speaks(self) -> AgentTerms | None:
        """Return the terms of its calls of models: an agent run's, or those of a runtime run's agent steps."""
        return self.agent if self.runtime is None else self.runtime.agent

    @property
    def workflow_step_run_id(self) -> str | None:
        """Return the id of the step that it is, within its workflow's run; None for a run that is none."""
        return None if self.step is None else step_run_id(self.parent_run_id or "", self.step)

    @property
    def spawned(self) -> bool:
        """Tell whether the code of a run made this one, and may wait for its end."""
        return self.parent_run_id is not None and self.triggered_by == "spawn"

    @property
    def lane(self) -> str:
        """Return the key of the lane (`domain.lane`) in which the run waits for a worker."""
        return f"{self.org_id}/{self.queue}/{self.project_id}/{self.executor}/{self.handler or ''}"

    @property
    def queue_key(self) -> str:
        """Return the key of the run's queue: projects take turns in it, and ranks compare."""
        return queue_key(self.org_id, self.queue)


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run counts: ended attempts, hand-overs, identical errors in a row, attempts that restarts ended, and
    triggers that joined, with so many bytes; of an agent run, how often it went on after its worker was lost.
    """  # fmt: skip

    ended: int = 0
    handovers: int = 0
    fingerprint: str = ""
    repeats: int = 0
    restarts: int = 0
    joined: int = 0
    joined_bytes: int = 0
    recoveries: int = 0


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the time of a dispatch went, in µs; a phase that was not there is 0. `endpoint` answered with `status`."""

    dns_us: int = 0
    tcp_us: int = 0
    tls_us: int = 0
    ttfb_us: int = 0
    transfer_us: int = 0
    status: int | None = None
    endpoint: str | None = None
    fallback: bool = False


class OpenCall(msgspec.Struct, frozen=True):
    """A call of a model that nobody has settled yet, and the most that it may use and cost."""

    llm_call_id: str
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_microusd: int | None


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run's code has reported of its model calls, added up; `unpriced` counts those of unknown cost.

    `open` is the call of an agent that is under way: it is not in the sums before it is settled.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0
    cached_tokens: int = 0
    unpriced: int = 0
    open: OpenCall | None = None


class Paused(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a paused run goes on: the state it left and that state's reason."""

    state: State
    reason: str | None = None


class Amended(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was changed of what the run was asked to be: when it begins, and whether its attempts are recorded."""

    scheduled_at: int | None = None
    debug_mode: bool | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands after its last event.

    `lease_epoch` grows at every claim and fences every write of an executing side; `rank` is its place in the
    queue; `held_by` is the first full limit while it waits for a slot; `*_us` are time spent so far. `wait` is what it
    waits for, also while it is paused; `due_at` then is when a sleep is over, or another wait has taken too long.
    `preset` is what a restart gave it in place of its job's, `course` how far a runtime run has come.
    """

    spec: Spec
    state: State
    reason: str | None = None
    attempt: int = 1
    lease_epoch: int = 0
    seq: int = 0
    hash: bytes
    at: int
    since_at: int
    worker_id: str | None = None
    rank: float | None = None
    held_by: str | None = None
    due_at: int | None = None
    expires_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    cancel_requested_at: int | None = None
    pause_requested_at: int | None = None
    restart_requested_at: int | None = None
    paused: Paused | None = None
    wait: Wait | None = None
    error: RedactedText | None = None
    error_class: str | None = None
    tally: Tally = Tally()
    queue_wait_us: int = 0
    queued_us: int = 0
    active_us: int = 0
    waiting_us: int = 0
    dead_lettered_at: int | None = None
    annotations: dict[str, str] = {}
    trace: Trace | None = None
    usage: Usage = Usage()
    preset: str | None = None
    amended: Amended = Amended()
    course: Course | None = None

    @property
    def run_id(self) -> str:
        """Return the run's id."""
        return self.spec.run_id

    @property
    def terminal(self) -> bool:
        """Tell whether the run has ended: nothing changes it any more."""
        return self.state in TERMINAL

    @property
    def stop(self) -> StopKind | None:
        """Return what an executing run was asked to do; a cancel outranks a restart, and that a pause."""
        if self.cancel_requested_at is not None:
            return "cancel"
        if self.restart_requested_at is not None:
            return "restart"
        return "pause" if self.pause_requested_at is not None else None

    @property
    def counted_attempts(self) -> int:
        """Return how many of its attempts count against `max_attempts`, the one under way included."""
        return self.attempt - self.tally.restarts

    @property
    def entrusted(self) -> bool:
        """Tell whether the endpoint that accepted the run holds its lease, renewed by what it calls."""
        return self.worker_id == ENDPOINT

    @property
    def deadline_at(self) -> int | None:
        """Return when the attempt under way has taken too long; None for a run that may take for ever."""
        timeout_s = self.spec.timeout_s
        return None if timeout_s is None or self.state != "executing" else self.since_at + int(timeout_s * 1_000_000)

    @property
    def place(self) -> tuple[int, int]:
        """Return how far the run has come: another place, and somebody has written to it."""
        return (self.seq, self.at)

    @property
    def scheduled_at(self) -> int | None:
        """Return when the run was asked to begin, as it was last said; None for at once."""
        return self.spec.scheduled_at if self.amended.scheduled_at is None else self.amended.scheduled_at

    @property
    def debug_mode(self) -> bool:
        """Tell whether the attempts that begin now record what is handed over and what comes back."""
        return self.spec.debug_mode if self.amended.debug_mode is None else self.amended.debug_mode

    @property
    def metadata(self) -> dict[str, str]:
        """Return what the run was given, with what its job has added since."""
        return self.spec.metadata | self.annotations if self.annotations else self.spec.metadata

    @property
    def owns_slots(self) -> bool:
        """Tell whether the run owns a slot in each of its limits: ready in the queue, or executing."""
        return self.state == "executing" or (self.state == "queued" and self.held_by is None)


def step_run_id(run_id: str, step: str) -> str:
    """Return the id of a step within a workflow's run, whether it has a run yet or never will."""
    return f"{run_id}.step.{step}"


def timers(run: Run) -> dict[str, int]:
    """Return the timers that a run needs in its state: name → instant.

    `due` ends a delay, a retry's wait or a sleep, and a wait for something that did not come in time; `expire` ends a
    run that never began.
    """
    wanted: dict[str, int] = {}
    if run.due_at is not None and run.state in ("scheduled", "waiting"):
        wanted["due"] = run.due_at
    if run.expires_at is not None and run.started_at is None and run.state in ("scheduled", "queued"):
        wanted["expire"] = run.expires_at
    return wanted
