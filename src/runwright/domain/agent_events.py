"""The shapes of what the logs of agent runs say; the catalogue is `events`.

Texts of models, tools and people went through the redactor before they came here: the log is what the model saw. An
instant that a reader is shown is a text; `due_at` is that of the fold.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from runwright.domain.question import Asks, Mode
from runwright.domain.redaction import RedactedText
from runwright.domain.run import State, ValueRef
from runwright.domain.workspace import WorkspaceSnapshot

Channel = Literal["final", "thinking"]
RUN_SCOPE = "run"
"""The scope of a run's own limits."""


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of model calls: `cached_tokens` are a part of the `input_tokens`."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int


class AgentStarted(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`run.started` as the first event of an agent run: the whole configuration, and its best-known parts apart."""

    thread_id: str
    persona_id: str
    route_id: str
    provider: str
    model: str
    trace_id: str
    retry_of: str | None = None
    spec: msgspec.Raw
    state: State
    due_at: int | None = None
    expires_at: int | None = None
    reason: str | None = None
    key: str = ""


class WaitingForInput(msgspec.Struct, frozen=True, kw_only=True):
    """`run.waiting_for_input`: the run parked until somebody answers, at most until `expires_at`.

    By then so many of its messages stand in its thread (`left_messages`): whatever becomes of it, they were said.
    """

    request_id: str
    kind: Asks
    prompt: RedactedText
    schema: dict[str, Any] | None
    tool_call_id: str | None
    expires_at: str | None
    due_at: int | None
    left_messages: int = 0


class InputReceived(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`run.input_received`: somebody answered the request, or steered; an answer's exact value is kept beside."""

    mode: Mode
    content: RedactedText
    request_id: str | None = None
    value: ValueRef | None = None


class Recovered(msgspec.Struct, frozen=True):
    """`run.recovered`: the worker was lost; the run goes on at its last whole turn, under another lease."""

    lease_epoch: int
    recoveries: int


class MessageDelta(msgspec.Struct, frozen=True):
    """`message.delta`: a piece of what the model says; pieces of one segment belong together."""

    content: RedactedText
    role: str
    channel: Channel
    segment_id: str


class MessageCompleted(msgspec.Struct, frozen=True):
    """`message.completed`: the segment is whole; this is all of it."""

    content: RedactedText
    role: str
    channel: Channel
    segment_id: str


class MessageReset(msgspec.Struct, frozen=True):
    """`message.reset`: what was shown of this segment does not count; it will be said again."""

    segment_id: str
    reason: str


class ModelRequested(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`llm.request`: a call of the model is about to be made; the prompt is named by digests of its messages.

    It has what people said by the way until `heard_seq`. At most so many tokens may it use, and so much may it cost.
    The first `left_out` messages of the conversation are not told: the model's context takes no more.
    """

    llm_call_id: str
    turn: int
    provider: str
    model: str
    prompt: list[str]
    heard_seq: int = 0
    left_out: int = 0
    input_tokens_at_most: int = 0
    max_output_tokens: int = 0
    reserved_microusd: int | None = None


class ModelAnswered(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`llm.response`: what the model said, which tools it calls, and what the call used."""

    llm_call_id: str
    text: RedactedText
    tool_calls: list[dict[str, Any]] = []
    usage: TokenUsage | None = None
    cost_microusd: int | None = None
    stop_reason: str
    estimated: bool = False


class ModelRetried(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`llm.retry`: the call failed and is made again after a delay."""

    llm_call_id: str
    delay_ms: int
    code: str
    message: RedactedText


class UsageRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """`usage.recorded`: what a model call used; the run's totals are sums of these. A cost of null is unknown."""

    llm_call_id: str
    provider: str
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_microusd: int | None
    estimated: bool = False


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """`tool.call`: the model calls a tool."""

    tool_call_id: str
    tool_name: str
    arguments: dict[str, Any]
    risk: str
    args_sha256: str


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`tool.result`: what came of the call, a result or an error; of a long one a preview, the rest an artifact.

    `snapshot` says what the call left in the workspace, if it changed it.
    """

    tool_call_id: str
    tool_name: str
    result: Any = None
    error: dict[str, Any] | None = None
    duration_ms: int
    truncated: bool
    artifact: str | None = None
    snapshot: WorkspaceSnapshot | None = None


class ToolDenied(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`tool.denied`: the call was not made, by the persona's rules or a person's word."""

    tool_call_id: str
    tool_name: str
    reason: str
    comment: RedactedText | None = None


class UsageUnverified(msgspec.Struct, frozen=True, kw_only=True):
    """`usage.unverified`: a provider answered, and told no usage that can be believed; what was reserved counts."""

    llm_call_id: str
    provider: str
    model: str


class BudgetReached(msgspec.Struct, frozen=True, kw_only=True):
    """`budget.warning`, `budget.exhausted`: how much of which limit is used.

    The `scope` is the run, or what its budget is shared with: a thread, a project, a project's day.
    """

    scope: str
    limit_name: str
    used: int
    limit: int

    @property
    def name(self) -> str:
        """Return what no other limit of a run is called."""
        return self.limit_name if self.scope == RUN_SCOPE else f"{self.scope}.{self.limit_name}"


class AgentCompleted(msgspec.Struct, frozen=True, kw_only=True):
    """`run.completed` of an agent run: its last answer, what it used and what that cost; an unknown cost is null."""

    attempt: int
    duration_ms: int
    result: ValueRef | None
    output: RedactedText | None
    usage: TokenUsage
    total_cost_usd: float | None
    credits_used: int | None


class AgentFailed(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`run.failed` of an agent run; where a model's provider refused, `details` have its `reason`."""

    reason: str
    error_class: str
    error: RedactedText
    message: RedactedText
    retryable: bool
    attempt: int
    dead_lettered: bool
    duration_ms: int
    code: str | None = None
    traceback: RedactedText | None = None
    details: dict[str, Any] | None = None


class AgentCancelled(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`run.cancelled` of an agent run: `partial_output` is what it had said of an answer that it did not finish."""

    reason: str
    partial_output: RedactedText | None = None
    confirmed: bool | None = None
    note: str | None = None
    request_id: str | None = None
    last_seen_seq: int | None = None


RECORDS: dict[str, tuple[Literal["output", "model", "tool", "budget"], type[msgspec.Struct]]] = {
    "message.delta": ("output", MessageDelta),
    "message.completed": ("output", MessageCompleted),
    "message.reset": ("output", MessageReset),
    "llm.request": ("model", ModelRequested),
    "llm.response": ("model", ModelAnswered),
    "llm.retry": ("model", ModelRetried),
    "usage.recorded": ("model", UsageRecorded),
    "usage.unverified": ("model", UsageUnverified),
    "tool.call": ("tool", ToolCall),
    "tool.result": ("tool", ToolResult),
    "tool.denied": ("tool", ToolDenied),
    "budget.warning": ("budget", BudgetReached),
    "budget.exhausted": ("budget", BudgetReached),
}
"""What the executing side of an agent run appends: type → its kind and shape."""
