"""How an execution of a handler ends, and what it leaves."""

import asyncio
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

import msgspec
import pytest

from runwright.client.blocking import SyncContext
from runwright.client.context import Context
from runwright.client.errors import LeaseLost, NonRetryable, RetryLater, StopKind
from runwright.client.execution import run_handler
from runwright.client.handlers import job
from runwright.client.outcome import Completed, Failed, Parked, Stopped
from tests.client.scripted_session import Journal, ScriptedSession, execute


async def test_a_handler_that_returns_completes_with_its_result_as_json():
    @job
    async def handler(ctx: Context, payload: dict[str, Any]) -> Any:
        return {"pair": (1, 2), "echo": payload}

    assert await execute(handler, Journal(), {"a": 1}) == Completed({"pair": [1, 2], "echo": {"a": 1}})


async def test_a_handler_may_do_without_the_payload():
    @job
    async def handler(ctx: Context) -> str:
        return ctx.run_id

    assert await execute(handler, Journal(), {"a": 1}) == Completed("run_1")


async def test_a_sync_handler_runs_in_a_thread_and_completes():
    @job
    def handler(ctx: SyncContext, payload: dict[str, Any]) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await execute(handler, Journal(), {}) == Completed(False)


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), float("nan"), {"a": [b"x"]}, {1: 2}, datetime(2026, 1, 1, tzinfo=UTC), "\ud800"]
)
async def test_a_result_that_is_not_json_fails_for_good_and_says_where(value):
    @job
    async def handler(ctx: Context) -> Any:
        return {"deep": [value]}

    outcome = await execute(handler, Journal())
    assert isinstance(outcome, Failed)
    assert (outcome.error_class, outcome.code, outcome.retryable) == ("ResultNotJson", "result.not_json", False)
    assert "$.deep[0]" in outcome.message


async def test_a_result_that_contains_itself_fails_for_good():
    @job
    async def handler(ctx: Context) -> Any:
        ring: list[Any] = []
        ring.append(ring)
        return ring

    outcome = await execute(handler, Journal())
    assert isinstance(outcome, Failed)
    assert outcome.error_class == "ResultNotJson"


class Point(msgspec.Struct):
    x: int


@dataclass
class Line:
    start: Point
    length: int = 1


class Colour(TypedDict):
    name: str


async def test_payloads_arrive_as_their_annotation_says():
    @job
    async def of_struct(ctx: Context, payload: Point) -> int:
        return payload.x

    @job
    async def of_dataclass(ctx: Context, payload: Line) -> int:
        return payload.start.x + payload.length

    @job
    def of_typed_dict(ctx: SyncContext, payload: Colour) -> str:
        return payload["name"]

    assert await execute(of_struct, Journal(), {"x": 3}) == Completed(3)
    assert await execute(of_dataclass, Journal(), {"start": {"x": 3}}) == Completed(4)
    assert await execute(of_typed_dict, Journal(), {"name": "red"}) == Completed("red")


@pytest.mark.parametrize("payload", [{}, {"x": "3"}, {"x": 1.5}, [], None, "x"])
async def test_a_wrong_payload_fails_for_good_before_the_handler_is_called(payload):
    @job
    async def handler(ctx: Context, payload: Point) -> None:
        raise AssertionError("called")

    outcome = await execute(handler, Journal(), payload)
    assert isinstance(outcome, Failed)
    assert (outcome.error_class, outcome.code, outcome.retryable) == ("PayloadInvalid", "payload.invalid", False)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_an_exception_fails_the_attempt_with_its_name_text_and_stack(kind):
    class Broken(Exception):
        pass

    def break_it() -> None:
        raise Broken("no paper")

    @job
    async def asynchronous(ctx: Context) -> None:
        break_it()

    @job
    def synchronous(ctx: SyncContext) -> None:
        break_it()

    outcome = await execute(asynchronous if kind == "async" else synchronous, Journal())
    assert isinstance(outcome, Failed)
    assert outcome.error_class.endswith("Broken")
    assert outcome.error_class.startswith(__name__)
    assert (outcome.message, outcome.retryable, outcome.code) == ("no paper", True, None)
    assert "break_it" in outcome.traceback
    assert "runwright/client/execution.py" not in outcome.traceback


async def test_non_retryable_and_retry_later_say_so():
    class CardDeclined(NonRetryable):
        pass

    @job
    async def declined(ctx: Context) -> None:
        raise CardDeclined("stolen")

    @job
    async def later(ctx: Context) -> None:
        raise RetryLater(2.5)

    outcome = await execute(declined, Journal())
    assert isinstance(outcome, Failed)
    assert (outcome.retryable, outcome.message) == (False, "stolen")
    outcome = await execute(later, Journal())
    assert isinstance(outcome, Failed)
    assert (outcome.retryable, outcome.retry_after_s, outcome.error_class) == (True, 2.5, "RetryLater")


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration("x"), GeneratorExit(), asyncio.CancelledError()])
async def test_odd_exceptions_fail_the_attempt_and_nothing_else(error):
    @job
    async def asynchronous(ctx: Context) -> None:
        raise error

    @job
    def synchronous(ctx: SyncContext) -> None:
        raise error

    for handler in (asynchronous, synchronous):
        # In a task of its own: whether somebody cancels the caller is a question to its task, and a test's is shared.
        outcome = await asyncio.create_task(execute(handler, Journal()))
        assert isinstance(outcome, Failed)
        assert outcome.retryable


async def test_an_exception_that_cannot_be_shown_still_fails_the_attempt():
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    @job
    async def handler(ctx: Context) -> None:
        raise Mute

    outcome = await execute(handler, Journal())
    assert isinstance(outcome, Failed)
    assert "cannot be shown" in outcome.message


async def test_a_task_group_that_fails_is_told_by_its_one_error_and_parks_for_its_sleep():
    @job
    async def fails(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step("a", lambda: 1 / 0))

    @job
    async def sleeps(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.sleep(5))
            group.create_task(ctx.sleep(3))

    outcome = await execute(fails, Journal())
    assert isinstance(outcome, Failed)
    assert outcome.error_class == "ZeroDivisionError"
    journal = Journal()
    assert await execute(sleeps, journal) == Parked(journal.now + 3_000_000)


@pytest.mark.parametrize("kind", ["cancel", "pause", "restart"])
async def test_a_stop_cancels_the_await_of_an_async_handler(kind: StopKind):
    session = ScriptedSession(Journal())
    begun = asyncio.Event()
    cleaned = []

    @job
    async def handler(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ctx.log("cleaning up")
            await ctx.checkpoint({"at": 3})
            cleaned.append(ctx.stop_requested)

    running = asyncio.create_task(run_handler(handler, session))
    await begun.wait()
    await asyncio.to_thread(session.stop.request, kind)
    assert await running == Stopped(kind)
    assert cleaned == [kind]
    assert session.journal.kept["checkpoint"] == {"1": {"at": 3}}
    assert running.cancelling() == 0


async def test_a_stop_before_the_first_line_stops_at_the_first_call():
    session = ScriptedSession(Journal())
    session.stop.request("cancel")

    @job
    async def handler(ctx: Context) -> None:
        ctx.log("hello")

    @job
    def synchronous(ctx: SyncContext) -> None:
        ctx.step("a", int)

    assert await run_handler(handler, session) == Stopped("cancel")
    assert await run_handler(synchronous, session) == Stopped("cancel")


async def test_a_sync_handler_stops_at_its_next_call():
    session = ScriptedSession(Journal())

    @job
    def handler(ctx: SyncContext) -> None:
        while True:
            ctx.progress(5)
            session.stop.request("pause")

    assert await run_handler(handler, session) == Stopped("pause")


async def test_a_handler_that_sees_the_stop_and_returns_completes():
    session = ScriptedSession(Journal())
    begun = asyncio.Event()

    @job
    async def handler(ctx: Context) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert ctx.cancelled
        return "partial"

    running = asyncio.create_task(run_handler(handler, session))
    await begun.wait()
    session.stop.request("cancel")
    assert await running == Completed("partial")
    assert running.cancelling() == 0


async def test_a_stop_lets_a_step_that_takes_effect_end():
    journal = Journal()
    session = ScriptedSession(journal)
    in_effect, may_end = asyncio.Event(), asyncio.Event()

    async def charge() -> str:
        in_effect.set()
        await may_end.wait()
        return "charged"

    @job
    async def handler(ctx: Context) -> None:
        await ctx.step("charge", charge, effect="unsafe")
        await asyncio.Event().wait()

    running = asyncio.create_task(run_handler(handler, session, effect_grace_s=3600))
    await in_effect.wait()
    session.stop.request("cancel")
    await asyncio.sleep(0)
    may_end.set()
    assert await running == Stopped("cancel")
    assert journal.kept["step"]["charge"] == {"result": "charged"}


async def test_a_step_that_takes_effect_for_too_long_is_torn():
    session = ScriptedSession(Journal())
    in_effect = asyncio.Event()

    async def hang() -> None:
        in_effect.set()
        await asyncio.Event().wait()

    @job
    async def handler(ctx: Context) -> None:
        await ctx.step("hang", hang, effect="idempotent")

    running = asyncio.create_task(run_handler(handler, session, effect_grace_s=0))
    await in_effect.wait()
    session.stop.request("cancel")
    assert await running == Stopped("cancel")


async def test_a_cancellation_by_the_caller_passes_through():
    @job
    async def handler(ctx: Context) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await run_handler(handler, ScriptedSession(Journal()))


async def test_a_stop_after_the_end_does_not_cancel_the_host():
    session = ScriptedSession(Journal())

    @job
    async def handler(ctx: Context) -> None:
        session.stop.request("cancel")

    assert await run_handler(handler, session) == Completed(None)
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_context_has_no_effect_after_the_end():
    kept: list[Context] = []

    @job
    async def handler(ctx: Context) -> None:
        kept.append(ctx)

    journal = Journal()
    await execute(handler, journal)
    with pytest.raises(LeaseLost):
        kept[0].log("late")
    with pytest.raises(LeaseLost):
        await kept[0].checkpoint({})
    assert journal.events == []


async def test_a_lost_lease_passes_through_an_except_clause():
    @job
    async def handler(ctx: Context) -> None:
        try:
            await ctx.checkpoint({})
        except Exception:  # noqa: BLE001 - as handlers do
            raise AssertionError("held up") from None

    @job
    def synchronous(ctx: SyncContext) -> None:
        try:
            ctx.checkpoint({})
        except Exception:  # noqa: BLE001 - as handlers do
            raise AssertionError("held up") from None

    for each in (handler, synchronous):
        with pytest.raises(LeaseLost):
            await run_handler(each, ScriptedSession(Journal(), die_at=1))
