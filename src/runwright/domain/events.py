"""The closed catalogue of events: every type that a log may hold, its kind, and the shape of its data.

A new event type is an entry here (and a line in an ADR); nothing else may be appended.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from runwright.domain import agent_events as a
from runwright.domain import approval, delivery_events, loop_events, repository_events, workflow_events
from runwright.domain import job_events as w
from runwright.domain import process_events as p
from runwright.domain import runtime_events as r
from runwright.domain import terminal_events as t
from runwright.domain.amendments import DebugSet, Exchanged, Rescheduled
from runwright.domain.chain import Link, body
from runwright.domain.redaction import Redacted, RedactedText
from runwright.domain.run import AGENT, DELIVERY, LOOP, RUNTIME, State, ValueRef

Kind = Literal[
    "lifecycle", "tool", "output", "governance", "model", "finding", "budget", "artifact", "checkpoint", "system"
]
Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
Writer = Literal["job", "agent", "runtime"]
"""Who executes a run, and appends records to its log."""
_WRITERS: dict[str, Writer] = {AGENT: "agent", RUNTIME: "runtime", LOOP: "runtime", DELIVERY: "runtime"}


class Draft(msgspec.Struct, frozen=True):
    """An event before it has a place in the log: redacted, not yet numbered, dated or chained."""

    type: str
    data: Redacted
    message: RedactedText = RedactedText("")
    level: Level = "info"
    actor: str | None = None


class Event(msgspec.Struct, frozen=True):
    """One event of a run's log, as stored. `data` is the exact bytes that the chain covers.

    An event whose data were erased has None; its `salt` is then the digest of what they were.
    """

    run_id: str
    seq: int
    type: str
    level: str
    actor: str
    message: str
    data: bytes | None
    salt: bytes
    lease_epoch: int
    created_at: int
    hash: bytes
    usage: bytes | None = None

    @property
    def event_id(self) -> str:
        """Return `<run_id>.<seq>`: no other run can have it."""
        return f"{self.run_id}.{self.seq}"

    def link(self) -> Link:
        """Return the event as `domain.chain.verify` reads it."""
        if self.data is None:
            # Nothing covers these any more, so they must have the one form that an erasure gives them.
            plain = (self.level, self.lease_epoch, self.message) == ("info", 0, "")
            digest = self.salt if plain else None
            return Link(self.actor, self.created_at, self.run_id, self.seq, self.type, {}, self.hash, digest=digest)
        covered = body(self.level, self.lease_epoch, self.message, self.data)
        return Link(self.actor, self.created_at, self.run_id, self.seq, self.type, {}, self.hash, self.salt, covered)


class Created(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.created`: the first event; carries the whole configuration."""

    spec: msgspec.Raw
    state: State
    due_at: int | None = None
    expires_at: int | None = None
    reason: str | None = None
    key: str = ""


class Started(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.started`: an attempt began under a new lease."""

    attempt: int
    lease_epoch: int
    worker_id: str
    queue_wait_ms: int


class AcceptedData(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.accepted`: the endpoint took the run over; it must be heard of within each `heartbeat_ms`."""

    attempt: int
    heartbeat_ms: int | None = None
    endpoint: str | None = None


class Annotated(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.annotated`: the job added to the run's metadata."""

    annotations: dict[str, str]


class Queued(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.queued`: the run returned to the queue (due, handed over, lost before it began), or came there when what it
    waited for did: `key` says which, `value` what it was given. After a restart, `confirmed`: it had stopped.
    """

    reason: str
    key: str = ""
    value: ValueRef | None = None
    confirmed: bool | None = None


class Woken(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.woken`: what a paused run waited for came; it goes on with it when it is resumed."""

    reason: str
    key: str = ""
    value: ValueRef | None = None


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.waiting`: the run parked; it holds no slot and no worker. `due_at` ends a sleep, and is the limit of
    any other wait; `key` says for which event or child.
    """  # fmt: skip

    reason: str
    due_at: int | None = None
    key: str = ""


class Joined(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.joined`: another trigger joined the run before it began, the `size`th, with this payload."""

    reason: str
    size: int
    due_at: int
    payload: ValueRef
    idempotency_key: str | None = None
    trace_id: str | None = None
    request_id: str | None = None


class Retrying(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.retrying`: an attempt failed and another will follow at `due_at`."""

    attempt: int
    next_attempt: int
    delay_ms: int
    due_at: int
    reason: str
    error_class: str
    error: RedactedText
    code: str | None = None
    traceback: RedactedText | None = None


class StopRequested(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.cancel_requested`, `run.pause_requested`: the executing side was asked to stop, and for which reason."""

    reason: str
    note: str | None = None
    request_id: str | None = None
    last_seen_seq: int | None = None


class RestartRequested(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.restart_requested`: the run is to begin again, with this preset."""

    reason: str
    preset: str | None = None
    note: str | None = None
    request_id: str | None = None


class PausedData(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.paused`: by whom asked for, and whether the executing side confirmed (null: none was executing)."""

    reason: str
    confirmed: bool | None = None
    note: str | None = None
    request_id: str | None = None


class Resumed(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.resumed`: the state in which the run goes on."""

    state: State
    reason: str | None = None
    due_at: int | None = None
    request_id: str | None = None


class CompletedData(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.completed`: the result's digest, size and preview, and how long the run lived."""

    attempt: int
    duration_ms: int
    result: ValueRef | None = None


class FailedData(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.failed`: the last error, why it is the last, and whether the run is dead-lettered.

    `details` belong to the `code`: of a model provider's refusal, the `reason`.
    """

    reason: str
    error_class: str
    error: RedactedText
    retryable: bool
    attempt: int
    dead_lettered: bool
    duration_ms: int
    code: str | None = None
    traceback: RedactedText | None = None
    details: dict[str, Any] | None = None


class CancelledData(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.cancelled`: who wanted it; `confirmed` false means fenced off, null means nothing was executing."""

    reason: str
    confirmed: bool | None = None
    note: str | None = None
    request_id: str | None = None
    last_seen_seq: int | None = None


class ExpiredData(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.expired`: the run was not started before `expires_at`."""

    expires_at: int


class EventType(msgspec.Struct, frozen=True):
    """An entry of the catalogue. `of_agent` and `of_runtime` are the shapes that such runs give it, where that is
    another.

    A job's own code may append what is `by_job`, the executing side of an agent run what is `by_agent`, that of a
    runtime run what is `by_runtime`.
    """

    kind: Kind
    data: type[msgspec.Struct]
    by_job: bool = False
    of_agent: type[msgspec.Struct] | None = None
    by_agent: bool = False
    of_runtime: type[msgspec.Struct] | None = None
    by_runtime: bool = False

    @property
    def shapes(self) -> tuple[type[msgspec.Struct], ...]:
        """Return every shape that its data may have."""
        return (self.data, *(shape for shape in (self.of_agent, self.of_runtime) if shape is not None))

    def may_be_by(self, writer: Writer) -> bool:
        """Tell whether who executes a run may append it."""
        return {"job": self.by_job, "agent": self.by_agent, "runtime": self.by_runtime}[writer]


CATALOGUE: dict[str, EventType] = {
    "run.created": EventType("lifecycle", Created),
    "run.started": EventType("lifecycle", Started, of_agent=a.AgentStarted, of_runtime=r.RuntimeStarted),
    "run.claimed": EventType("lifecycle", Started),
    "run.accepted": EventType("lifecycle", AcceptedData),
    "run.annotated": EventType("output", Annotated),
    "run.queued": EventType("lifecycle", Queued),
    "run.joined": EventType("lifecycle", Joined),
    "run.waiting": EventType("lifecycle", Waiting),
    "run.woken": EventType("lifecycle", Woken),
    "run.waiting_for_input": EventType("lifecycle", a.WaitingForInput),
    "run.input_received": EventType("lifecycle", a.InputReceived),
    "run.recovered": EventType("lifecycle", a.Recovered),
    "run.retrying": EventType("lifecycle", Retrying),
    "run.cancel_requested": EventType("lifecycle", StopRequested),
    "run.pause_requested": EventType("lifecycle", StopRequested),
    "run.restart_requested": EventType("lifecycle", RestartRequested),
    "run.paused": EventType("lifecycle", PausedData),
    "run.resumed": EventType("lifecycle", Resumed),
    "run.completed": EventType("lifecycle", CompletedData, of_agent=a.AgentCompleted, of_runtime=r.RuntimeCompleted),
    "run.failed": EventType("lifecycle", FailedData, of_agent=a.AgentFailed, of_runtime=r.RuntimeFailed),
    "run.cancelled": EventType("lifecycle", CancelledData, of_agent=a.AgentCancelled, of_runtime=r.RuntimeCancelled),
    "run.expired": EventType("lifecycle", ExpiredData),
    "run.rescheduled": EventType("lifecycle", Rescheduled),
    "run.progress": EventType("lifecycle", w.Progress, by_job=True, by_runtime=True),
    **{
        name: EventType("output", shape, by_job=True, by_agent=True, by_runtime=True)
        for name, shape in (
            (t.STARTED, t.CommandStarted),
            (t.OUTPUT, t.TerminalOutput),
            (t.GAP, t.TerminalGap),
            (t.ENDED, t.CommandEnded),
        )
    },
    t.INPUT: EventType("output", t.Touched),
    t.TYPED: EventType("output", t.Typed, by_runtime=True),
    t.RESIZED: EventType("output", t.Resized, by_runtime=True),
    "process.started": EventType("system", p.ProcessStarted, by_job=True),
    "process.limited": EventType("system", p.ProcessLimited, by_job=True, by_runtime=True),
    "process.ended": EventType("system", p.ProcessEnded, by_job=True),
    "security.refused": EventType("governance", p.SecurityRefused, by_job=True, by_runtime=True),
    "child.spawned": EventType("output", w.ChildSpawned),
    "run.continued": EventType("output", w.Continued),
    "log": EventType("output", w.Log, by_job=True, by_runtime=True),
    "stream.chunk": EventType("output", w.Chunk, by_job=True),
    "output.saved": EventType("output", w.OutputSaved, by_job=True),
    "checkpoint.saved": EventType("checkpoint", w.CheckpointSaved, by_job=True),
    "state.set": EventType("checkpoint", w.StateSet, by_job=True),
    "state.deleted": EventType("checkpoint", w.StateDeleted, by_job=True),
    "usage.reported": EventType("model", w.UsageReported, by_job=True),
    "tool.called": EventType("tool", w.ToolCalled, by_job=True),
    "iteration.reported": EventType("output", w.Iterated, by_job=True),
    "resources.reported": EventType("output", w.ResourcesUsed, by_job=True),
    "step.started": EventType("tool", w.StepStarted, by_job=True, of_runtime=r.StepBegun, by_runtime=True),
    "step.completed": EventType("tool", w.StepCompleted, by_job=True, of_runtime=r.StepEnded, by_runtime=True),
    "step.unknown": EventType("tool", w.StepUnknown, by_job=True),
    **{name: EventType("output", shape) for name, shape in workflow_events.SHAPES.items()},
    **{name: EventType(kind, shape, by_agent=True, by_runtime=True) for name, (kind, shape) in a.RECORDS.items()},
    **{name: EventType(kind, shape, by_runtime=True) for name, (kind, shape) in r.RECORDS.items()},
    **{name: EventType(kind, shape, by_runtime=True) for name, (kind, shape) in loop_events.RECORDS.items()},
    **{name: EventType("governance", shape) for name, shape in approval.RECORDS.items()},
    **{name: EventType("checkpoint", shape, by_runtime=True) for name, shape in delivery_events.RECORDS.items()},
    **{name: EventType(kind, shape, by_runtime=True) for name, (kind, shape) in repository_events.RECORDS.items()},
    "debug.set": EventType("system", DebugSet),
    "debug.request": EventType("system", Exchanged),
    "debug.response": EventType("system", Exchanged),
}
"""Every event type: its kind, the shape of its data, and who may append it beside the engine."""

CHANGES: frozenset[str] = frozenset(
    n for n, entry in CATALOGUE.items() if entry.kind == "lifecycle" and not (entry.by_job or entry.by_runtime)
)
"""The event types that say that a run's state changed, or that it was asked to."""

BEGINS: frozenset[str] = frozenset({"run.started", "run.claimed"})
"""The event types that say that an attempt began: what opens the log of an agent or runtime run is called so, too."""

TERMINAL_TYPES: frozenset[str] = frozenset({"run.completed", "run.failed", "run.cancelled", "run.expired"})


def writer_of(kind: str) -> Writer:
    """Return who executes runs of a kind."""
    return _WRITERS.get(kind, "job")


def schemas() -> dict[str, dict[str, Any]]:
    """Return a JSON Schema (2020-12) for the data of each event type."""
    return {
        name: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": name,
            "x-kind": entry.kind,
            **_shape(entry),
        }
        for name, entry in CATALOGUE.items()
    }


def _shape(entry: EventType) -> dict[str, Any]:
    if len(entry.shapes) == 1:
        return msgspec.json.schema(entry.data)
    shapes, parts = msgspec.json.schema_components(entry.shapes)
    return {"anyOf": list(shapes), "$defs": parts}
