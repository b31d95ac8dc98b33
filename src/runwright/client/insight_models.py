"""What the API answers about one run to whoever looks for what went wrong."""

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.accounts import WebhookDelivery
from runwright.client.models import Attempt, Checkpoint, Event, Output, Record, Run, ToolCall, Usage


class FullLimit(msgspec.Struct, kw_only=True):
    """The limit that a run waits for a slot of."""

    key: str
    used: int = 0
    max: int = 0


class Line(msgspec.Struct, kw_only=True):
    """The queue that a run stands in; `before` is counted up to 1 000, workers inside other servers are not."""

    queue: str
    paused: bool = False
    before: int = 0
    workers: int = 0
    free_slots: int = 0


class Why(Record, kw_only=True):
    """Why a run is not executing: a stable code, and a sentence."""

    run_id: str
    code: str
    message: str = ""
    status: str = ""
    state: str = ""
    reason: str | None = None
    since_at: datetime | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    limit: FullLimit | None = None
    line: Line | None = None


class Span(msgspec.Struct, kw_only=True):
    """A stretch of a run's time; what still goes on has no end."""

    id: str
    kind: str
    name: str
    started_at: datetime
    parent_id: str | None = None
    ended_at: datetime | None = None
    duration_us: int | None = None
    attempt: int | None = None
    lease_epoch: int | None = None
    reason: str | None = None


class Timeline(Record, kw_only=True):
    """The spans of a run, oldest first."""

    run_id: str
    spans: list[Span]
    trace_id: str = ""
    truncated: bool = False


class DebugBundle(Record, kw_only=True):
    """Everything about one run, redacted; `truncated` names the parts that hold more."""

    run: Run
    events: list[Event]
    checkpoints: list[Checkpoint]
    usage: list[Usage]
    tool_calls: list[ToolCall]
    outputs: list[Output]
    attempts: list[Attempt]
    children: list[Run]
    webhook_deliveries: list[WebhookDelivery]
    job_version: dict[str, Any] | None = None
    truncated: list[str] = msgspec.field(default_factory=list)
