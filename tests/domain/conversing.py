"""The loop of an agent run where nothing is done: steps become events, and a worker may be lost anywhere.

What is written together is one append. Each append and each effect of a tool is a moment, and at any moment the worker
may be lost: then the log is all that is left, and the next worker goes on from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runwright.domain import agent_events as a
from runwright.domain import next_step as n
from runwright.domain import tools as t
from runwright.domain.agent_terms import AgentTerms, Budget
from runwright.domain.chain import SALT_BYTES
from runwright.domain.conversation import NOTHING_SAID, Conversation, fold
from runwright.domain.decision import meaning
from runwright.domain.events import Event
from runwright.domain.model_call import Message, ModelCall, Text, ToolCall, Usage
from runwright.domain.price import Price, Rates, cost
from runwright.domain.redaction import Redactor

SECOND = 1_000_000
STEPS_MAX = 400
TERMS = AgentTerms(
    thread_id="thr_1",
    persona_id="default@1",
    route_id="route_1",
    provider="scripted",
    model="story",
    price=Price(rates=Rates(input=1_000_000, cached=0, output=2_000_000)),
    max_output_tokens=100,
    risk_threshold="high",
)
_NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}


def tool(name: str, effect: t.Effect, risk: Any = "low") -> t.ToolSpec:
    """Return a tool that has one action."""
    return t.ToolSpec(name=name, description="", schema=_NAME, actions={"": t.Action(risk, effect)})


CATALOGUE = t.Catalogue(
    [
        tool("look", "read_only"),
        tool("put", "idempotent"),
        tool("send", "unsafe"),
        tool("pay", "unsafe", "high"),
        t.ToolSpec(
            name="ask_user",
            description="",
            schema={"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
            actions={"": t.Action("low", "read_only")},
        ),
    ]
)


class Answer(msgspec.Struct, frozen=True):
    """One answer of the model."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    failures: int = 0


class Lost(Exception):
    """The worker is lost."""


class Play:
    """A run that a script is played in. `lost_at` are moments at which the worker is lost, `said_at` people's words."""

    def __init__(
        self,
        script: Sequence[Answer],
        *,
        terms: AgentTerms = TERMS,
        budget: Budget | None = None,
        lost_at: Sequence[int] = (),
        said_at: Sequence[int] = (),
        answer: str = "approve",
    ) -> None:
        terms = terms if budget is None else msgspec.structs.replace(terms, budget=budget)
        history = (Message("user", (Text("Tell me a story."),)),)
        self.stage = n.Stage(
            terms=terms, system="You tell.", history=history, catalogue=CATALOGUE, rules=t.ToolRules(confirm_at="high")
        )
        self.script = script
        self.events: list[Event] = []
        self.told = NOTHING_SAID
        self.effects: list[str] = []
        self.prompts: list[ModelCall] = []
        self.end: n.Finish | n.Fail | None = None
        self.now = 0
        self._lost_at = set(lost_at)
        self._said_at = list(said_at)
        self._answer = answer
        self._answers: dict[str, Any] = {}
        self._moment = 0
        self._failed: dict[int, int] = {}

    @property
    def talk(self) -> Conversation:
        """Return the conversation as the log tells it."""
        return fold(self.events, answers=self._answers)

    def run(self) -> Play:
        """Play to the end."""
        self._write([("run.claimed", {})])
        for _ in range(STEPS_MAX):
            try:
                step = n.next_step(self.told, self.stage, self.now)
                if isinstance(step, n.Finish | n.Fail):
                    self.end = step
                    return self
                self._do(step)
            except Lost:
                self._write([("run.recovered", {"lease_epoch": 2, "recoveries": 1}), ("run.claimed", {})])
                assert self.told == self.talk
        raise AssertionError("it goes round in circles")

    def _passes(self) -> None:
        """Let a moment pass, in which the worker may be lost."""
        self._moment += 1
        if self._moment in self._said_at:
            said = {"mode": "steer", "content": f"word {self._moment}"}
            self._write([("run.input_received", said)])
        if self._moment in self._lost_at:
            raise Lost

    def append(self, *drafts: tuple[str, Any]) -> None:
        """Write events in one transaction, unless the worker is lost before, or after."""
        self._passes()
        self._write(drafts)
        self._passes()

    def _write(self, drafts: Sequence[tuple[str, Any]]) -> None:
        for name, data in drafts:
            self.now += SECOND
            seq = len(self.events) + 1
            raw = Redactor().data(data)
            self.events.append(
                Event("run_1", seq, name, "info", "worker:x", "", raw, bytes(SALT_BYTES), 1, self.now, b"")
            )
        self.told = fold(self.events[self.told.seq :], self.told, self._answers)

    # --- what the loop does -------------------------------------------------------------------------------------------

    def _do(self, step: n.Step) -> None:
        match step:
            case n.CallModel():
                self._call(step)
            case n.RunTools(calls):
                self.append(*(("tool.call", _begun(call)) for call in calls))
                for call in calls:
                    self.effects.append(call.tool_call_id)
                    self._passes()
                    self.append(("tool.result", _result(call.tool_call_id, call.tool, f"done {call.arguments}")))
            case n.TellModel(told):
                self.append(*(draft for each in told for draft in _told(each)))
            case n.AskPerson():
                self._ask(step)
            case n.Settle(asked):
                self.append(self._used(asked.llm_call_id, None, asked), *map(_reset, asked.segments))
            case n.Warn(limits):
                self.append(*(("budget.warning", limit) for limit in limits))
            case n.Exhaust(limit):
                self.append(("budget.exhausted", limit))

    def _call(self, step: n.CallModel) -> None:
        self.now = max(self.now, step.not_before)
        self.prompts.append(step.call)
        ident = f"call-{len(self.prompts)}"
        room = step.room
        request = a.ModelRequested(
            llm_call_id=ident,
            turn=step.turn,
            provider=step.call.provider,
            model=step.call.model,
            prompt=["head", *("said" for _ in step.call.messages)],
            heard_seq=step.heard_seq,
            left_out=step.call.left_out,
            input_tokens_at_most=room.input_tokens_at_most,
            max_output_tokens=room.max_output_tokens,
            reserved_microusd=room.reserved_microusd,
        )
        self.append(("llm.request", request))
        at = sum(message.role == "assistant" for message in self.told.messages)
        says = self.script[at] if at < len(self.script) else Answer("That is all.")
        half = len(says.text) // 2
        for piece in (says.text[:half], says.text[half:]):
            self.append(("message.delta", _delta(ident, piece)))
        if self._failed.get(at, 0) < says.failures:
            self._failed[at] = self._failed.get(at, 0) + 1
            asked = self.told.open
            assert asked is not None
            retry = {"llm_call_id": ident, "delay_ms": 1000, "code": "providers.unavailable", "message": "cut"}
            self.append(self._used(ident, None, asked), *map(_reset, asked.segments), ("llm.retry", retry))
            return
        calls = [{"tool_call_id": c.id, "tool_name": c.name, "arguments": c.arguments} for c in says.calls]
        usage = a.TokenUsage(min(10, room.input_tokens_at_most), 0, min(5, room.max_output_tokens))
        response = {"llm_call_id": ident, "text": says.text, "tool_calls": calls, "stop_reason": "stop", "usage": usage}
        self.append(("llm.response", response), self._used(ident, usage, None))

    def _used(self, ident: str, usage: a.TokenUsage | None, asked: Any) -> tuple[str, Any]:
        price = self.stage.terms.price
        if usage is None:
            tokens = (asked.input_tokens_at_most, asked.max_output_tokens)
            microusd = asked.reserved_microusd
        else:
            tokens = (usage.input_tokens, usage.output_tokens)
            microusd = cost(price, Usage(input_tokens=tokens[0], output_tokens=tokens[1]))
        told = a.UsageRecorded(
            llm_call_id=ident,
            provider="scripted",
            model="story",
            input_tokens=tokens[0],
            cached_tokens=0,
            output_tokens=tokens[1],
            cost_microusd=microusd,
            estimated=usage is None,
        )
        return "usage.recorded", told

    def _ask(self, step: n.AskPerson) -> None:
        waits = {"kind": step.kind, "prompt": step.prompt, "schema": step.schema, "expires_at": None, "due_at": None}
        waits |= {"request_id": step.request_id, "tool_call_id": step.tool_call_id}
        self._write([("run.waiting_for_input", waits)])
        self._answers[step.request_id] = meaning(step.kind, step.schema, self._answer)
        heard = {"mode": "answer", "content": self._answer, "request_id": step.request_id}
        self._write([("run.input_received", heard), ("run.queued", {"reason": "input"}), ("run.claimed", {})])
        self._passes()


def _begun(call: t.Ready) -> a.ToolCall:
    return a.ToolCall(
        tool_call_id=call.tool_call_id,
        tool_name=call.tool,
        arguments=call.arguments,
        risk=call.risk,
        args_sha256=call.args_sha256,
    )


def _result(ident: str, name: str, result: Any = None, error: dict[str, Any] | None = None) -> a.ToolResult:
    return a.ToolResult(tool_call_id=ident, tool_name=name, result=result, error=error, duration_ms=1, truncated=False)


def _told(each: n.Tell) -> list[tuple[str, Any]]:
    if each.made is not None:
        return [("tool.call", _begun(each.made)), ("tool.result", _result(each.tool_call_id, each.tool, each.answer))]
    if each.code == n.OUTCOME_UNKNOWN:
        error = {"code": each.code, "message": each.message}
        return [("tool.result", _result(each.tool_call_id, each.tool, error=error))]
    denied = {"tool_call_id": each.tool_call_id, "tool_name": each.tool, "reason": each.code, "comment": each.message}
    return [("tool.denied", denied)]


def _delta(segment: str, piece: str) -> dict[str, Any]:
    return {"content": piece, "role": "assistant", "channel": "final", "segment_id": segment}


def _reset(segment: str) -> tuple[str, Any]:
    return "message.reset", {"segment_id": segment, "reason": "interrupted"}
