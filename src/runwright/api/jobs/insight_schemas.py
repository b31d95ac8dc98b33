"""The shapes of what is told about one run to whoever looks for what went wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.webhook_schemas import WebhookDelivery
from runwright.domain.run import State


class FullLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that the run waits for a slot of."""

    key: str
    used: int
    max: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The queue that the run stands in; workers inside other servers are not counted."""

    queue: str
    paused: bool
    before: Annotated[int, Meta(description="Runs that come first, counted up to 1 000.")]
    workers: int
    free_slots: int


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run is not executing: a stable code, and a sentence."""

    run_id: str
    status: wire.Word
    state: State
    reason: str | None
    code: Literal[
        "ended", "executing", "paused", "waiting", "scheduled", "limit", "queue_paused", "no_worker", "workers_busy",
        "ready",
    ]  # fmt: skip
    message: str
    since_at: str
    due_at: str | None
    expires_at: str | None
    limit: FullLimit | None
    line: Line | None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the run's time: a state, an attempt, a phase of its dispatch, a step, a tool call; or an instant."""

    id: str
    parent_id: str | None
    kind: Literal["state", "attempt", "dispatch", "step", "tool", "mark"]
    name: str
    started_at: str
    ended_at: str | None
    duration_us: int | None
    attempt: int | None
    lease_epoch: int | None
    reason: str | None


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of a run, as its log tells them, oldest first; `truncated`: the log tells more than are shown."""

    run_id: str
    trace_id: str
    spans: list[Span]
    truncated: bool


class DebugBundle(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one run, redacted; `truncated` names the parts that hold more than are shown."""

    run: wire.Run
    events: list[wire.Event]
    checkpoints: list[wire.Checkpoint]
    usage: list[wire.Usage]
    tool_calls: list[wire.ToolCall]
    outputs: list[wire.Output]
    attempts: list[wire.Attempt]
    children: list[wire.Run]
    webhook_deliveries: list[WebhookDelivery]
    job_version: Annotated[dict[str, Any] | None, Meta(description="As `/v1/jobs/{job}/versions` shows it.")]
    truncated: list[str]
