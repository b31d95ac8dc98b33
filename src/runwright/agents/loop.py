"""The loop of an agent run: fold the log, do the next step, append what came of it, and fold again.

Nothing is known but by the log. Whoever takes the run after a lost worker does what this one would have done.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec
from msgspec.structs import replace

from runwright import ids
from runwright.agents import notes
from runwright.agents.notes import Kept, Note
from runwright.agents.tools.runner import Made, Runner
from runwright.agents.tools.workspace import Kept as LastSnapshot
from runwright.agents.tools.workspace import RunWorkspace
from runwright.agents.watched import watched
from runwright.domain import agent_events as a
from runwright.domain import next_step as n
from runwright.domain import outcome as o
from runwright.domain import spending
from runwright.domain.conversation import NOTHING_SAID, Conversation, Open, fold
from runwright.domain.events import Event
from runwright.domain.model_call import Answer, Channel, ModelCall, ModelEvent, TextDelta, ToolCall
from runwright.domain.question import Question
from runwright.domain.redaction import Redactor
from runwright.domain.retry import RetryPolicy, delay_ms
from runwright.domain.run import Wait
from runwright.domain.shared_budget import SharedBudget
from runwright.domain.spending import ALONE, Shared
from runwright.domain.tools import Ready
from runwright.domain.transcript import Left, left_by
from runwright.engine.attempt import Attempt
from runwright.engine.stoppable import Stoppable
from runwright.engine.values import INPUT
from runwright.errors import Overtaken, ProviderRejected, ProviderUnavailable

RETRIES = RetryPolicy(initial_ms=1_000, max_ms=300_000)
AGAIN_S = 0.02
REST_S = 0.5
RESTS_MAX = 60
"""How often a run rests, before it takes what other runs have left of a budget for all that there is."""
PAGE = 500


class Model(Protocol):
    """Who is asked for answers: `Providers`."""

    def stream(self, call: ModelCall, secret: str | None = None) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams; the last event is `Done`."""
        ...


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a loop works with, beside its attempt."""

    stage: n.Stage
    model: Model
    secret: Callable[[], Awaitable[str | None]]
    events: Callable[[int, int], Awaitable[list[Event]]]
    redactor: Callable[[], Redactor]
    runner: Callable[[RunWorkspace], Runner]
    workspace: Callable[[LastSnapshot | None], RunWorkspace]
    leave: Callable[[Sequence[Left]], tuple[o.Said, ...]]
    budgets: Callable[[], Awaitable[Sequence[SharedBudget]]]
    preview_bytes: int
    attempts_max: int
    rest_s: float
    start: Conversation = NOTHING_SAID
    own_ids: bool = False
    """Calls are called as we call them: the log tells of more conversations than this one."""


class AgentLoop:
    """Drives one attempt."""

    def __init__(self, attempt: Attempt, means: Means) -> None:
        self._attempt = attempt
        self._means = means
        self._talk = means.start
        self._answers: dict[str, object] = {}
        self._prompts: set[str] = set()
        self._workspace: RunWorkspace | None = None
        self._hearing: tuple[str, Answer] | None = None
        self._rests = 0

    async def run(self) -> o.Outcome:
        """Go on until the run ends, waits, or is asked to stop; what was said and used by then is kept."""
        self._answers = await self._attempt.stored(INPUT)
        try:
            ended = await Stoppable(self._attempt).run(self._steps(), name="agent-loop")
            return await self._stopped() if isinstance(ended, o.Stopped) else ended
        finally:
            if self._workspace is not None:
                await self._workspace.close()

    async def _steps(self) -> o.Outcome:
        while True:
            await self._read()
            shared = await self._shared()
            ended = await self._in_time(n.next_step(self._talk, self._means.stage, self._attempt.clock.now(), shared))
            if ended is not None:
                return ended

    async def _shared(self) -> Shared:
        """Look at the budgets that the run shares, where it may be about to ask its model."""
        if self._talk.calls or self._talk.open is not None:
            return ALONE
        return Shared(await self._means.budgets(), patient=self._rests < RESTS_MAX)

    async def _in_time(self, step: n.Step) -> o.Outcome | None:
        """Do a step; one that takes longer than the run may execute breaks off, and the budget is used up."""
        clock, terms = self._attempt.clock, self._means.stage.terms
        left_us = spending.time_left_us(terms, self._talk, clock.now())
        if left_us is None or not isinstance(step, n.CallModel | n.RunTools):
            return await self._do(step)
        done = asyncio.Event()
        doing = asyncio.create_task(self._do(step), name="agent-step")
        doing.add_done_callback(lambda _: done.set())
        try:
            await clock.wait(done, left_us / 1e6)
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
        if not doing.cancelled():
            return doing.result()
        call = await self._broken_off()
        over = spending.reached(terms, self._talk, "wall_s", clock.now())
        assert over is not None
        lost = [] if call is None else self._lost(call, "out_of_time")
        await self._save([*lost, Note("budget.exhausted", replace(over, used=over.limit), "warning")])
        return None

    async def _read(self) -> None:
        while True:
            events = await self._means.events(self._talk.seq, PAGE)
            self._talk = fold(events, self._talk, self._answers)
            if events:
                self._attempt.place = (events[-1].seq, events[-1].created_at)  # an end is written here, or not at all
            if len(events) < PAGE:
                return

    async def _do(self, step: n.Step) -> o.Outcome | None:
        match step:
            case n.CallModel():
                return await self._call(step)
            case n.RunTools(calls):
                await self._runner().run_calls(calls, self)
            case n.TellModel(told):
                redactor = self._means.redactor()
                await self._save([note for each in told for note in notes.told(each, redactor)])
            case n.Settle(call):
                await self._save(self._lost(call, "interrupted"))
            case n.Warn(limits):
                await self._save([Note("budget.warning", limit, "warning") for limit in limits])
            case n.Rest():
                self._rests += 1
                await self._attempt.clock.sleep(REST_S)
            case n.Exhaust(limit):
                await self._save([Note("budget.exhausted", limit, "warning")])
            case n.AskPerson():
                return self._asked(step)
            case n.Finish(text):
                return o.Completed(output=self._means.redactor().text(text), said=self._said())
            case n.Fail():
                failed = self._attempt.failed(
                    step.error_class, step.message, retryable=False, code=step.code, reason=step.reason
                )
                return self._with_words(failed)
        return None

    async def _save(self, what: Sequence[Note], kept: Sequence[Kept] = ()) -> None:
        await self._attempt.save(what, kept)

    # --- the model ----------------------------------------------------------------------------------------------------

    async def _call(self, step: n.CallModel) -> o.Outcome | None:
        rest_s = (step.not_before - self._attempt.clock.now()) / 1e6
        if rest_s > self._means.rest_s:
            return o.Parked(step.not_before, Wait("timer"))
        if rest_s > 0:
            await self._attempt.clock.sleep(rest_s)
        secret = await self._means.secret()
        prompt = notes.prompt_of(step.call, self._means.redactor())
        fresh = [each for each in prompt if each.key not in self._prompts]
        ident = ids.new_id("llm", self._attempt.clock.now())
        asked = notes.requested(step, ident, prompt)
        try:
            await self._save([asked], list({each.key: each for each in fresh}.values()))
        except Overtaken:  # another run was faster with what is left of a budget
            await self._attempt.clock.sleep(AGAIN_S)
            return None
        self._rests = 0
        self._prompts |= {each.key for each in fresh}
        answer = Answer()
        self._hearing = ident, answer
        try:
            with watched(self._attempt.run, step.call, answer, self._attempt.clock) as watch:
                async with aclosing(self._means.model.stream(step.call, secret)) as stream:
                    async for event in stream:
                        watch.heard()
                        answer.add(event)
                        if isinstance(event, TextDelta):
                            self._show(ident, event)
        except (ProviderUnavailable, ProviderRejected) as trouble:
            return await self._failed(ident, trouble)
        await self._answered(step, ident, answer)
        return None

    def _show(self, ident: str, delta: TextDelta, *, done: bool = False) -> str:
        segment = ident if delta.channel == "final" else f"{ident}.{delta.channel}"
        data = {"content": delta.text, "channel": delta.channel, "segment_id": segment, "done": done}
        self._attempt.emit(Note("message.delta", data))
        return segment

    def _close(self) -> list[Note]:
        """Let go what redaction held back of the answer, and return what says that it is whole."""
        if self._hearing is None:
            return []
        (ident, answer), self._hearing = self._hearing, None
        redactor = self._means.redactor()
        said: list[Note] = []
        channels: tuple[tuple[Channel, str], ...] = (("thinking", answer.thinking), ("final", answer.text))
        for channel, text in channels:
            if text:
                segment = self._show(ident, TextDelta("", channel), done=True)
                whole = a.MessageCompleted(redactor.opening(text), "assistant", channel, segment)
                said.append(Note("message.completed", whole))
        return said

    async def _answered(self, step: n.CallModel, ident: str, answer: Answer) -> None:
        done, terms, redactor = answer.done, self._means.stage.terms, self._means.redactor()
        assert done is not None
        history = {part.id for message in step.call.messages for part in message.parts if isinstance(part, ToolCall)}
        taken = None if self._means.own_ids else history | self._talk.tool_call_ids
        calls = notes.named(answer.tool_calls, ident, taken, redactor)
        whole = self._close()
        open_call = self._open(ident, step)
        used = notes.used(terms, open_call, done.usage)
        tokens = a.TokenUsage(used.data.input_tokens, used.data.cached_tokens, used.data.output_tokens)
        response = a.ModelAnswered(
            llm_call_id=ident,
            text=redactor.opening(answer.text),
            tool_calls=[{"tool_call_id": c.id, "tool_name": c.name, "arguments": c.arguments} for c in calls],
            usage=tokens,
            cost_microusd=used.data.cost_microusd,
            stop_reason=done.stop_reason,
            estimated=used.data.estimated,
        )
        doubt = a.UsageUnverified(llm_call_id=ident, provider=terms.provider, model=terms.model)
        told = [Note("usage.unverified", doubt, "warning")] if done.usage is None else []
        await self._save([*whole, Note("llm.response", response), used, *told])

    @staticmethod
    def _open(ident: str, step: n.CallModel) -> Open:
        room = step.room
        return Open(ident, room.reserved_microusd, room.input_tokens_at_most, room.max_output_tokens)

    async def _failed(self, ident: str, trouble: ProviderUnavailable | ProviderRejected) -> o.Outcome | None:
        call, terms = await self._broken_off(), self._means.stage.terms
        if call is None or call.llm_call_id != ident:
            return None
        settled = [notes.used(terms, call, None, billed=trouble.billed), *notes.reset(call, "failed")]
        times = self._talk.failures + 1
        if isinstance(trouble, ProviderRejected) or times >= self._means.attempts_max:
            await self._save(settled)
            name = type(trouble).__name__
            failed = self._attempt.failed(name, trouble.detail, retryable=False, code=trouble.code)
            return self._with_words(replace(failed, details={"reason": trouble.reason}))
        asked_ms = None if trouble.retry_after_s is None else int(trouble.retry_after_s * 1000)
        rest_ms = delay_ms(RETRIES, times, random.random(), asked_ms)
        said = self._means.redactor().text(trouble.detail)
        retried = a.ModelRetried(llm_call_id=ident, delay_ms=rest_ms, code=trouble.code, message=said)
        await self._save([*settled, Note("llm.retry", retried, "warning")])
        return None

    async def _broken_off(self) -> Open | None:
        """Return the call of the model that is not settled; all that was shown of its answer stands in the log then."""
        self._close()
        await self._save([])
        await self._read()
        return self._talk.open

    def _lost(self, call: Open, reason: str) -> list[Note]:
        """Return what settles a call of unknown outcome, and takes back what was shown of it."""
        return [notes.used(self._means.stage.terms, call, None), *notes.reset(call, reason)]

    # --- tools --------------------------------------------------------------------------------------------------------

    def _runner(self) -> Runner:
        if self._workspace is None:
            snapshot = self._talk.snapshot
            last = None if snapshot is None else LastSnapshot(snapshot.tree_hash, self._load)
            self._workspace = self._means.workspace(last)
        return self._means.runner(self._workspace)

    async def _load(self) -> bytes:
        return await self._attempt.stored_bytes(notes.SNAPSHOT, notes.LAST)

    async def begin(self, calls: Sequence[Ready]) -> None:
        """Write down that calls begin, before they do."""
        await self._save([notes.begun(call) for call in calls])

    async def end(self, made: Made) -> None:
        """Write down what came of a call."""
        note, kept = notes.ended(made, self._means.redactor(), self._means.preview_bytes)
        await self._save([note, *notes.denied(made, self._means.redactor())], kept)

    # --- people, and the end ------------------------------------------------------------------------------------------

    def _asked(self, step: n.AskPerson) -> o.Parked:
        redactor = self._means.redactor()
        schema = None if step.schema is None else msgspec.json.decode(redactor.data(step.schema))
        question = Question(
            request_id=step.request_id,
            kind=step.kind,
            prompt=redactor.text(step.prompt),
            schema=schema,
            tool_call_id=step.tool_call_id,
            left_messages=len(self._talk.whole),
        )
        within_s = self._means.stage.terms.answer_within_s
        until = None if within_s is None else self._attempt.clock.now() + within_s * spending.SECOND_US
        return o.Parked(until, Wait("input", step.request_id), question, said=self._said())

    async def _stopped(self) -> o.Stopped:
        """Return what was said until the stop; a call of the model that was under way is settled as it was reserved."""
        call, partial = await self._broken_off(), self._talk.partial
        if call is not None:
            unsaid = notes.reset(call, "stopped") if self._attempt.stop_requested == "pause" else []
            await self._save([notes.used(self._means.stage.terms, call, None), *unsaid])
        output = self._means.redactor().text(partial) if partial else None
        return o.Stopped(output, self._said(partial))

    def _with_words(self, failed: o.Failed) -> o.Failed:
        return replace(failed, said=self._said())

    def _said(self, partial: str = "") -> tuple[o.Said, ...]:
        """Return what the run leaves in its thread: its whole turns, but those that it left there when it asked."""
        return self._means.leave(left_by(self._talk.whole[self._talk.left_messages :], partial))
