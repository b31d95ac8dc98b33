"""What happens in an agent run, each kind as a type of its own: made of the events of its log, read by `match`.

Whatever has no type here is an `AgentEvent`; the event itself, as the server sent it, is its `event`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.errors import UnexpectedAnswer
from runwright.client.models import TERMINAL_TYPES, Event


class AgentEvent(msgspec.Struct, kw_only=True, dict=True):
    """Something happened; its subclasses say what."""

    @property
    def event(self) -> Event:
        """The event of the log that it was made of."""
        event: Event = self.__dict__["_event"]
        return event

    @property
    def seq(self) -> int:
        """Its place in the log of its run."""
        return self.event.seq


class TextDelta(AgentEvent, kw_only=True):
    """A piece of what the model says; those of one segment belong together. `channel`: `final` or `thinking`."""

    content: str
    segment_id: str = ""
    channel: str = "final"
    role: str = "assistant"


class TextCompleted(AgentEvent, kw_only=True):
    """A segment is whole; this is all of it."""

    content: str
    segment_id: str = ""
    channel: str = "final"
    role: str = "assistant"


class TextReset(AgentEvent, kw_only=True):
    """What was shown of a segment does not count; it will be said again."""

    segment_id: str
    reason: str = ""


class ToolCalled(AgentEvent, kw_only=True):
    """A tool is called."""

    tool_call_id: str
    tool_name: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    risk: str = ""


class ToolReturned(AgentEvent, kw_only=True):
    """What came of a call: a `result`, or an `error` with `code` and `message`. Of a long one it is a preview."""

    tool_call_id: str
    tool_name: str
    result: Any = None
    error: dict[str, Any] | None = None
    duration_ms: int = 0
    truncated: bool = False
    artifact: str | None = None


class ToolDenied(AgentEvent, kw_only=True):
    """A call is not made, by the persona's rules or a person's word; the model is told."""

    tool_call_id: str
    tool_name: str
    reason: str = ""
    comment: str | None = None


class InputAsked(AgentEvent, kw_only=True):
    """The run waits for a person: `inputs.send` answers. `kind`: `question`, `confirmation` or `approval`."""

    request_id: str
    kind: str = "question"
    prompt: str = ""
    schema: dict[str, Any] | None = None
    tool_call_id: str | None = None
    expires_at: datetime | None = None


class InputHeard(AgentEvent, kw_only=True):
    """Somebody answered what the run asked, or said something by the way (`mode`: `steer`)."""

    content: str = ""
    mode: str = "answer"
    request_id: str | None = None


class ModelUsed(AgentEvent, kw_only=True):
    """What a call of the model used; a cost of None is not known."""

    llm_call_id: str
    provider: str = ""
    model: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = None
    estimated: bool = False


class UsageUnverified(AgentEvent, kw_only=True):
    """The model answered, and its provider told no usage that can be believed: what was reserved counts."""

    llm_call_id: str
    provider: str = ""
    model: str = ""


class ModelRetried(AgentEvent, kw_only=True):
    """A call of the model failed, and is made again after a delay."""

    llm_call_id: str
    delay_ms: int = 0
    code: str = ""
    message: str = ""


class BudgetReached(AgentEvent, kw_only=True):
    """A limit is nearly used up, or (`exhausted`) has not enough left."""

    limit_name: str
    scope: str = "run"
    used: int = 0
    limit: int = 0

    @property
    def exhausted(self) -> bool:
        """Whether the run cannot go on within it."""
        return self.event.type == "budget.exhausted"


class Tokens(msgspec.Struct, kw_only=True):
    """Tokens of all calls of the model: `cached_tokens` are a part of the `input_tokens`."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class RunEnded(AgentEvent, kw_only=True):
    """The last event of a run. Which fields say something depends on `status`; a cost of None is not known."""

    output: str | None = None
    usage: Tokens | None = None
    total_cost_usd: float | None = None
    credits_used: int | None = None
    duration_ms: int | None = None
    reason: str | None = None
    partial_output: str | None = None
    error_class: str | None = None
    code: str | None = None
    details: dict[str, Any] | None = None
    message: str | None = None
    retryable: bool = False

    @property
    def refusal(self) -> str | None:
        """Why a model's provider refused, such as `credentials` or `not_installed`; None where none did."""
        reason = (self.details or {}).get("reason")
        return reason if isinstance(reason, str) else None

    @property
    def status(self) -> str:
        """How it ended: `completed`, `failed`, `cancelled` or `expired`."""
        return self.event.type.removeprefix("run.")


KINDS: dict[str, type[AgentEvent]] = {
    "message.delta": TextDelta,
    "message.completed": TextCompleted,
    "message.reset": TextReset,
    "tool.call": ToolCalled,
    "tool.result": ToolReturned,
    "tool.denied": ToolDenied,
    "run.waiting_for_input": InputAsked,
    "run.input_received": InputHeard,
    "usage.recorded": ModelUsed,
    "usage.unverified": UsageUnverified,
    "llm.retry": ModelRetried,
    "budget.warning": BudgetReached,
    "budget.exhausted": BudgetReached,
    **dict.fromkeys(sorted(TERMINAL_TYPES), RunEnded),
}
"""The types of events that have a type here."""


def typed(event: Event) -> AgentEvent:
    """Return what an event says. One whose data are gone says only that it was. Raises `UnexpectedAnswer`."""
    kind = KINDS.get(event.type, AgentEvent)
    if event.data is None and kind is not RunEnded:
        kind = AgentEvent
    try:
        found = msgspec.convert(event.data or {}, kind)
    except msgspec.ValidationError as error:
        raise UnexpectedAnswer(f"the event {event.seq}, a {event.type}, cannot be read: {error}") from None
    found.__dict__["_event"] = event
    return found
