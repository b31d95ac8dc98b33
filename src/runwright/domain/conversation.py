"""What the log of an agent run says of its conversation: a fold, so that any worker goes on where another ended.

Only what is durable counts. The transcript has whole turns: an answer that broke off is none of it. Results stand in
the order of their calls, whenever they came; what a person said by the way stands where a call of the model had heard
it. So a conversation that was interrupted reads as if it never had been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from runwright.domain import agent_events as a
from runwright.domain.events import Event
from runwright.domain.model_call import Counted, Message, Text, ToolCall, ToolResult
from runwright.domain.workspace import WorkspaceSnapshot

GO_ON = "approve"
Told = TypeVar("Told")


class Call(msgspec.Struct, frozen=True):
    """A call of a tool in the turn that is not whole yet: perhaps `begun`, perhaps with what the model is `told`."""

    call: ToolCall
    begun: bool = False
    made_with: dict[str, Any] | None = None
    told: ToolResult | None = None


class Open(msgspec.Struct, frozen=True):
    """A call of the model that is not settled: what was reserved for it, and what was shown of its answer.

    Its prompt ends after so many `messages` of the conversation, and begins after those that are `left_out`.
    """

    llm_call_id: str
    reserved_microusd: int | None
    input_tokens_at_most: int
    max_output_tokens: int
    segments: tuple[str, ...] = ()
    messages: int = 0
    left_out: int = 0


class Asked(msgspec.Struct, frozen=True):
    """What a person was asked about a call or (None) the budget; `content` None: nobody answered."""

    tool_call_id: str | None
    content: str | None = None
    value: Any = None


class Heard(msgspec.Struct, frozen=True):
    """What a person said by the way, and no call of the model has heard yet."""

    seq: int
    content: str


class Spent(msgspec.Struct, frozen=True):
    """What the run used, settled: calls of unknown outcome at what was reserved for them."""

    turns: int = 0
    tool_calls: int = 0
    tokens: int = 0
    cost_microusd: int = 0
    executed_us: int = 0


class Conversation(msgspec.Struct, frozen=True):
    """Where a conversation stands. `messages` are those of this run; what was said before it is none of them.

    Of these, so many stand in the thread already (`left_messages`), since the run asked a person.

    So many of all messages were `left_out` of the last prompt, of which the provider said what is `counted`; `partial`
    is what was shown of an answer that is not whole. What was `asked` stands by request. `failures` counts calls of the
    model that failed since the last whole turn; none is made again before `not_before`. `granted` names limits, each as
    often as a person let the run go on.
    """

    seq: int = 0
    messages: tuple[Message, ...] = ()
    calls: tuple[Call, ...] = ()
    open: Open | None = None
    counted: Counted | None = None
    left_out: int = 0
    left_messages: int = 0
    partial: str = ""
    asked: dict[str, Asked] = {}
    heard: tuple[Heard, ...] = ()
    failures: int = 0
    not_before: int = 0
    spent: Spent = Spent()
    settled: frozenset[str] = frozenset()
    warned: tuple[str, ...] = ()
    exhausted: a.BudgetReached | None = None
    granted: tuple[str, ...] = ()
    denied: bool = False
    executing_since: int | None = None
    snapshot: WorkspaceSnapshot | None = None
    stop_reason: str | None = None

    @property
    def tool_call_ids(self) -> frozenset[str]:
        """Return the ids of all calls of tools in this run: each names one call."""
        parts = (part for message in self.messages for part in message.parts)
        return frozenset(part.id for part in parts if isinstance(part, ToolCall))

    @property
    def whole(self) -> tuple[Message, ...]:
        """Return the messages of its whole turns: calls without results cannot be told to a model."""
        return self.messages[:-1] if self.calls else self.messages

    @property
    def finished(self) -> bool:
        """Tell whether the model has said its last word: no tool to call, and nobody spoke since."""
        last = self.messages[-1] if self.messages else None
        return last is not None and last.role == "assistant" and not self.calls and not self.heard

    def executed_us(self, now: int) -> int:
        """Return how long the run has executed; what it waited does not count."""
        since = self.executing_since
        return self.spent.executed_us + (0 if since is None else max(now - since, 0))


NOTHING_SAID = Conversation()


def fold(events: Iterable[Event], talk: Conversation = NOTHING_SAID, answers: Mapping[str, Any] = {}) -> Conversation:
    """Return where the conversation stands after these events; `answers` are the exact ones, by request."""
    for event in events:
        step = _STEPS.get(event.type)
        if step is not None and event.data is not None:
            talk = step(talk, event, answers)
        talk = replace(talk, seq=event.seq)
    return talk


def _claimed(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    return replace(talk, executing_since=event.created_at)


def _left(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    spent = replace(talk.spent, executed_us=talk.executed_us(event.created_at))
    return replace(talk, spent=spent, executing_since=None)


def _requested(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.ModelRequested)
    now = [each for each in talk.heard if each.seq <= told.heard_seq]
    spoken = tuple(Message("user", (Text(each.content),)) for each in now)
    asked = Open(
        llm_call_id=told.llm_call_id,
        reserved_microusd=told.reserved_microusd,
        input_tokens_at_most=told.input_tokens_at_most,
        max_output_tokens=told.max_output_tokens,
        messages=told.left_out + len(told.prompt) - 1,  # the first tells the system text and the tools
        left_out=told.left_out,
    )
    heard = talk.heard[len(now) :]
    said = talk.messages + spoken
    return replace(talk, messages=said, heard=heard, open=asked, left_out=told.left_out, partial="")


def _shown(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told, asked = _read(event, a.MessageDelta), talk.open
    if asked is None:
        return talk
    if told.segment_id not in asked.segments:
        asked = replace(asked, segments=(*asked.segments, told.segment_id))
    return replace(talk, open=asked, partial=talk.partial + (told.content if told.channel == "final" else ""))


def _reset(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told, asked = _read(event, a.MessageReset), talk.open
    if asked is not None:
        asked = replace(asked, segments=tuple(each for each in asked.segments if each != told.segment_id))
    return replace(talk, open=asked, partial="")


def _answered(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.ModelAnswered)
    calls = tuple(ToolCall(each["tool_call_id"], each["tool_name"], each["arguments"]) for each in told.tool_calls)
    words = (Text(told.text),) if told.text or not calls else ()
    counted = talk.counted
    if talk.open is not None and told.usage is not None and not told.estimated:
        counted = Counted(talk.open.messages, told.usage.input_tokens, talk.open.left_out)
    return replace(
        talk,
        messages=(*talk.messages, Message("assistant", (*words, *calls))),
        calls=tuple(map(Call, calls)),
        spent=replace(talk.spent, turns=talk.spent.turns + 1),
        failures=0,
        not_before=0,
        partial="",
        counted=counted,
        stop_reason=told.stop_reason,
    )


def _used(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.UsageRecorded)
    if told.llm_call_id in talk.settled:
        return talk
    spent = replace(
        talk.spent,
        tokens=talk.spent.tokens + told.input_tokens + told.output_tokens,
        cost_microusd=talk.spent.cost_microusd + (told.cost_microusd or 0),
    )
    asked = talk.open if talk.open is not None and talk.open.llm_call_id != told.llm_call_id else None
    return replace(talk, spent=spent, open=asked, settled=talk.settled | {told.llm_call_id})


def _failed(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.ModelRetried)
    return replace(talk, failures=talk.failures + 1, not_before=event.created_at + told.delay_ms * 1000)


def _begun(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.ToolCall)
    known = any(each.call.id == told.tool_call_id and each.begun for each in talk.calls)
    spent = talk.spent if known else replace(talk.spent, tool_calls=talk.spent.tool_calls + 1)
    calls = _with(talk.calls, told.tool_call_id, begun=True, made_with=told.arguments)
    return replace(talk, calls=calls, spent=spent)


def _ended(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.ToolResult)
    failed = told.error is not None
    content = _failure(told.error) if told.error is not None else _rendered(told.result)
    mine = next((each for each in talk.calls if each.call.id == told.tool_call_id), None)
    if mine is not None and (edited := _edited(mine)) is not None:
        content = f"(a person changed the arguments to {edited})\n{content}"
    talk = _tell(talk, ToolResult(told.tool_call_id, content, failed))
    return talk if told.snapshot is None else replace(talk, snapshot=told.snapshot)


def _denied(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.ToolDenied)
    return _tell(talk, ToolResult(told.tool_call_id, _failure({"code": told.reason, "message": told.comment}), True))


def _waits(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.WaitingForInput)
    asked = {**talk.asked, told.request_id: Asked(told.tool_call_id)}
    return replace(_left(talk, event, answers), asked=asked, left_messages=told.left_messages)


def _spoke(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    told = _read(event, a.InputReceived)
    if told.mode == "steer":
        return replace(talk, heard=(*talk.heard, Heard(event.seq, told.content)))
    ident = told.request_id or ""
    asked = talk.asked.get(ident)
    if asked is None:
        return talk
    asked = replace(asked, content=told.content, value=answers.get(ident))
    talk = replace(talk, asked={**talk.asked, ident: asked})
    if asked.tool_call_id is not None or talk.exhausted is None:
        return talk
    if not isinstance(asked.value, dict) or asked.value.get("decision") != GO_ON:
        return replace(talk, denied=True)
    name = talk.exhausted.name
    warned = tuple(each for each in talk.warned if each != name)
    return replace(talk, exhausted=None, granted=(*talk.granted, name), warned=warned)


def _warned(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    return replace(talk, warned=(*talk.warned, _read(event, a.BudgetReached).name))


def _exhausted(talk: Conversation, event: Event, answers: Mapping[str, Any]) -> Conversation:
    over = _read(event, a.BudgetReached)
    return replace(talk, exhausted=over, warned=(*talk.warned, over.name))


def _tell(talk: Conversation, told: ToolResult) -> Conversation:
    calls = _with(talk.calls, told.tool_call_id, told=told)
    if not calls or any(each.told is None for each in calls):
        return replace(talk, calls=calls)
    results = tuple(each.told for each in calls if each.told is not None)
    return replace(talk, messages=(*talk.messages, Message("tool", results)), calls=())


def _with(calls: tuple[Call, ...], ident: str, **changes: Any) -> tuple[Call, ...]:
    return tuple(replace(each, **changes) if each.call.id == ident and each.told is None else each for each in calls)


def _edited(mine: Call) -> str | None:
    """Return the arguments that the call was made with, if they are not those that the model wrote."""
    if mine.made_with is None:
        return None
    try:
        wrote = msgspec.json.decode(mine.call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        wrote = None
    return None if wrote == mine.made_with else msgspec.json.encode(mine.made_with).decode()


def _rendered(result: Any) -> str:
    return result if isinstance(result, str) else msgspec.json.encode(result).decode()


def _failure(error: dict[str, Any]) -> str:
    told = f"{error.get('code')}: {error.get('message') or 'no reason was given'}"
    said = error.get("said")
    return told if said in (None, "") else f"{told}\n{_rendered(said)}"


def _read(event: Event, shape: type[Told]) -> Told:
    return msgspec.json.decode(event.data or b"", type=shape)


_STEPS: dict[str, Callable[[Conversation, Event, Mapping[str, Any]], Conversation]] = {
    "run.claimed": _claimed,
    **dict.fromkeys(("run.queued", "run.recovered", "run.paused", "run.waiting", "run.retrying"), _left),
    "llm.request": _requested,
    "message.delta": _shown,
    "message.reset": _reset,
    "llm.response": _answered,
    "usage.recorded": _used,
    "llm.retry": _failed,
    "tool.call": _begun,
    "tool.result": _ended,
    "tool.denied": _denied,
    "run.waiting_for_input": _waits,
    "run.input_received": _spoke,
    "budget.warning": _warned,
    "budget.exhausted": _exhausted,
}
