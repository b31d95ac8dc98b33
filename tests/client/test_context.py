"""What a context does: steps, sleeps, checkpoints, outputs and records."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.client.blocking import SyncContext
from runwright.client.context import Context
from runwright.client.errors import ChildFailed, LeaseLost, StepOutcomeUnknown
from runwright.client.handlers import Handler, job
from runwright.client.outcome import Completed, Failed, Parked
from tests.client.scripted_session import Journal, execute, execute_to_end


async def test_a_finished_step_is_not_run_again_by_a_later_attempt():
    calls: list[int] = []

    @job
    async def handler(ctx: Context) -> Any:
        first = await ctx.step("load", lambda: calls.append(ctx.attempt) or (1, 2))  # type: ignore[func-returns-value]
        if ctx.attempt == 1:
            raise RuntimeError("deliberate")
        return first

    journal = Journal()
    assert isinstance(await execute(handler, journal), Failed)
    assert await execute(handler, journal, attempt=2, lease_epoch=2) == Completed([1, 2])
    assert calls == [1]
    assert [data["reused"] for data in journal.of("step.completed")] == [False, True]


async def test_secrets_and_variables_are_those_that_the_attempt_was_given():
    @job
    async def handler(ctx: Context) -> Any:
        with pytest.raises(LookupError, match="was given no secret 'OTHER'"):
            ctx.secret("OTHER")
        return [ctx.secret("API_KEY"), dict(ctx.env)]

    assert await execute(handler, Journal()) == Completed(["s3cret", {"REGION": "eu"}])


async def test_a_step_returns_json_the_first_time_too():
    @job
    async def handler(ctx: Context) -> Any:
        return [await ctx.step("pair", lambda: (1, 2)) == [1, 2]]

    assert await execute(handler, Journal()) == Completed([True])


async def test_the_same_name_again_is_another_step():
    @job
    async def handler(ctx: Context) -> Any:
        return [await ctx.step("n", lambda i=i: i) for i in range(3)]

    journal = Journal()
    assert await execute(handler, journal) == Completed([0, 1, 2])
    assert list(journal.kept["step"]) == ["n", "n#2", "n#3"]


async def test_a_step_is_given_its_idempotency_key_only_if_it_asks():
    async def asks(amount: int, *, idempotency_key: str) -> Any:
        return [amount, idempotency_key]

    def does_not(**rest: Any) -> Any:
        return rest

    @job
    async def handler(ctx: Context) -> Any:
        return [await ctx.step("pay", asks, 5), await ctx.step("pay", asks, 6), await ctx.step("quiet", does_not, a=1)]

    assert await execute(handler, Journal()) == Completed([[5, "run_1:pay"], [6, "run_1:pay#2"], {"a": 1}])


@pytest.mark.parametrize("effect", ["idempotent", "unsafe"])
async def test_a_step_with_an_effect_is_known_to_have_started_before_it_runs(effect):
    journal = Journal()

    @job
    async def handler(ctx: Context) -> Any:
        return await ctx.step("pay", lambda: (journal.types(), journal.kept["step"]["pay"]), effect=effect)

    outcome = await execute(handler, journal)
    assert outcome == Completed([["step.started"], {"started": 1, "effect": effect}])
    assert journal.of("step.started") == [{"name": "pay", "effect": effect, "idempotency_key": "run_1:pay"}]


async def test_an_unsafe_step_of_unknown_outcome_fails_the_run_for_good():
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ConnectionError("cut")

    @job
    async def handler(ctx: Context) -> None:
        await ctx.step("pay", fail, effect="unsafe")

    journal = Journal()
    assert isinstance(await execute(handler, journal), Failed)
    outcome = await execute(handler, journal, attempt=2, lease_epoch=2)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("step.outcome_unknown", False)
    assert journal.of("step.unknown") == [{"name": "pay"}]
    assert calls == [1]


async def test_an_unsafe_step_of_unknown_outcome_runs_again_where_the_job_says_so():
    calls: list[int] = []

    def fail_once() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("cut")
        return len(calls)

    @job
    async def handler(ctx: Context) -> Any:
        return await ctx.step("pay", fail_once, effect="unsafe")

    journal = Journal()
    await execute(handler, journal)
    assert await execute(handler, journal, lease_epoch=2, rerun_unknown_steps=True) == Completed(2)


async def test_a_continuation_is_made_once_in_all_attempts_and_memory_is_what_the_host_has():
    @job
    async def goes_on(ctx: Context, payload: dict[str, Any]) -> Any:
        onward = await ctx.continue_run({"n": 1})
        bare = await ctx.continue_run()
        await ctx.set_memory("last", [onward.run_id, bare.run_id])
        await ctx.delete_memory("old")
        if ctx.attempt == 1:
            raise ValueError("again")
        return await ctx.memory("last"), await ctx.memory("old", "none")

    journal = Journal()
    journal.memory["old"] = 1
    await execute(goes_on, journal, {})
    outcome = await execute(goes_on, journal, {}, attempt=2, lease_epoch=2)
    assert outcome == Completed([["run_2", "run_3"], "none"])
    assert journal.continuations == [{"n": 1}, None]


async def test_a_handler_may_find_out_what_an_unknown_step_did_and_go_on():
    def fail() -> None:
        raise ConnectionError("cut")

    @job
    async def handler(ctx: Context) -> Any:
        try:
            return await ctx.step("pay", fail, effect="unsafe")
        except StepOutcomeUnknown as unknown:
            return unknown.idempotency_key

    journal = Journal()
    await execute(handler, journal)
    assert await execute(handler, journal, lease_epoch=2) == Completed("run_1:pay")


async def test_a_step_result_that_is_not_json_fails_for_good():
    @job
    async def handler(ctx: Context) -> None:
        await ctx.step("load", lambda: {"when": datetime(2026, 1, 1, tzinfo=UTC)})

    outcome = await execute(handler, Journal())
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("step.result_not_json", False)
    assert "$.when is datetime.datetime" in outcome.message


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda ctx: ctx.step("", int), id="empty name"),
        pytest.param(lambda ctx: ctx.step("ctx.sleep", int), id="our name"),
        pytest.param(lambda ctx: ctx.step("a#2", int), id="number sign"),
        pytest.param(lambda ctx: ctx.step("a", int, effect="maybe"), id="unknown effect"),
        pytest.param(lambda ctx: ctx.sleep(float("nan")), id="nan sleep"),
        pytest.param(lambda ctx: ctx.sleep("5"), id="text sleep"),
        pytest.param(lambda ctx: ctx.sleep_until(datetime(2030, 1, 1)), id="naive instant"),  # noqa: DTZ001
        pytest.param(lambda ctx: ctx.checkpoint([1]), id="list checkpoint"),
        pytest.param(lambda ctx: ctx.output("", 1), id="no key"),
        pytest.param(lambda ctx: ctx.output("a", {1, 2}), id="set output"),
        pytest.param(lambda ctx: ctx.log("a", level="loud"), id="unknown level"),
        pytest.param(lambda ctx: ctx.progress("half"), id="text percent"),
        pytest.param(lambda ctx: ctx.progress(float("nan")), id="nan percent"),
        pytest.param(lambda ctx: ctx.stream(b"x"), id="bytes chunk"),
    ],
)
async def test_a_wrong_argument_is_refused_and_nothing_is_written(call):
    @job
    async def handler(ctx: Context) -> None:
        waiting = call(ctx)
        if waiting is not None:
            await waiting

    journal = Journal()
    outcome = await execute(handler, journal)
    assert isinstance(outcome, Failed)
    assert outcome.error_class in ("ValueError", "TypeError", "NotJson")
    assert journal.events == []


async def test_a_sleep_parks_and_returns_once_it_has_passed():
    @job
    async def handler(ctx: Context) -> int:
        await ctx.sleep(60)
        await ctx.sleep(0)
        return ctx.lease_epoch

    journal = Journal()
    begun = journal.now
    assert await execute(handler, journal) == Parked(begun + 60_000_000)
    journal.now += 10_000_000
    assert await execute(handler, journal, lease_epoch=2) == Parked(begun + 60_000_000)
    journal.now += 50_000_000
    assert await execute(handler, journal, lease_epoch=3) == Completed(3)


async def test_sleep_until_parks_until_the_instant():
    at = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)

    @job
    async def handler(ctx: Context) -> None:
        await ctx.sleep_until(at)

    journal = Journal()
    assert await execute(handler, journal) == Parked(1_893_456_000_000_001)
    journal.now = 1_893_456_000_000_001
    assert await execute(handler, journal, lease_epoch=2) == Completed(None)


async def test_checkpoints_are_numbered_across_attempts_and_the_last_one_is_found():
    @job
    async def handler(ctx: Context) -> Any:
        found = ctx.last_checkpoint
        await ctx.checkpoint({"n": ctx.attempt})
        await ctx.checkpoint({"n": ctx.attempt * 10})
        return [found, ctx.last_checkpoint]

    journal = Journal()
    assert await execute(handler, journal) == Completed([None, {"n": 10}])
    assert await execute(handler, journal, attempt=2, lease_epoch=2) == Completed([{"n": 10}, {"n": 20}])
    assert [data["sequence"] for data in journal.of("checkpoint.saved")] == [1, 2, 3, 4]


async def test_outputs_are_kept_with_their_schema():
    @job
    async def handler(ctx: Context) -> None:
        await ctx.output("words", [1, 2], schema={"type": "array"})

    journal = Journal()
    await execute(handler, journal)
    assert journal.kept["output"] == {"words": [1, 2]}
    assert journal.schemas == {"words": {"type": "array"}}
    assert journal.of("output.saved") == [{"output_key": "words"}]


async def test_records_are_emitted_in_order_with_odd_data_as_text():
    @job
    async def handler(ctx: Context) -> None:
        ctx.log("read", path=Path("a"), level="warning")
        ctx.progress(133.3333, "nearly", done=4)
        ctx.stream("piece")

    journal = Journal()
    await execute(handler, journal)
    assert [(e.type, e.level, e.message, e.data) for e in journal.events] == [
        ("log", "warning", "read", {"path": "a"}),
        ("run.progress", "info", "nearly", {"percent": 100.0, "message": "nearly", "done": 4}),
        ("stream.chunk", "info", "", {"chunk": "piece", "stream_id": "default", "done": False}),
    ]


async def test_a_blocking_context_does_all_of_it_in_the_handlers_thread():
    async def fetch(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @job
    def handler(ctx: SyncContext) -> Any:
        here = threading.get_ident()
        same = ctx.step("where", lambda: threading.get_ident() == here)
        ctx.checkpoint({"a": 1})
        ctx.output("b", 2)
        ctx.log("c")
        ctx.sleep(1)
        return [same, ctx.step("fetch", fetch, 3), ctx.last_checkpoint, ctx.idempotency_key]

    journal = Journal()
    assert await execute_to_end(handler, journal) == Completed([True, 3, {"a": 1}, "run_1"])


async def test_thread_true_calls_a_step_off_the_loop():
    @job
    async def handler(ctx: Context) -> Any:
        return await ctx.step("where", lambda: threading.current_thread() is threading.main_thread(), thread=True)

    assert await execute(handler, Journal()) == Completed(False)


async def test_steps_may_run_at_the_same_time():
    together = asyncio.Barrier(3)

    async def meet(n: int) -> int:
        await together.wait()
        return n

    @job
    async def handler(ctx: Context) -> Any:
        return await asyncio.gather(*(ctx.step("meet", meet, n) for n in range(3)))

    journal = Journal()
    assert await execute(handler, journal) == Completed([0, 1, 2])
    assert await execute(handler, journal, lease_epoch=2) == Completed([0, 1, 2])


OPERATIONS = st.lists(
    st.sampled_from(["step", "idempotent", "unsafe", "sleep", "checkpoint", "output", "log"]), min_size=1, max_size=8
)


def _program(operations: list[str], calls: list[str]) -> Handler[Any, Any]:
    """Make a handler that does these things in order and returns what it saw."""

    def called(n: int, idempotency_key: str) -> dict[str, int]:
        calls.append(idempotency_key)
        return {"n": n}

    @job
    async def handler(ctx: Context) -> Any:
        seen = []
        for n, operation in enumerate(operations):
            match operation:
                case "step":
                    seen.append(await ctx.step("work", called, n))
                case "idempotent" | "unsafe":
                    seen.append(await ctx.step("work", called, n, effect=operation))
                case "sleep":
                    await ctx.sleep(n + 1)
                case "checkpoint":
                    await ctx.checkpoint({"n": n})
                case "output":
                    await ctx.output("out", n)
                case _:
                    ctx.log(f"line {n}")
        return seen

    return handler


@given(operations=OPERATIONS, die_at=st.integers(1, 20), die_after_write=st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_crash_at_any_save_repeats_no_finished_step_and_changes_no_result(operations, die_at, die_after_write):
    calm_calls: list[str] = []
    calm = asyncio.run(execute_to_end(_program(operations, calm_calls), Journal()))
    assert isinstance(calm, Completed)
    assert len(set(calm_calls)) == len(calm_calls)

    calls: list[str] = []
    journal = Journal()
    outcome = asyncio.run(
        execute_to_end(_program(operations, calls), journal, die_at=die_at, die_after_write=die_after_write)
    )
    unknown = journal.of("step.unknown")
    assert (outcome == calm) if not unknown else (isinstance(outcome, Failed) and not outcome.retryable)
    ran = [data["name"] for data in journal.of("step.completed") if not data["reused"]]
    assert len(set(ran)) == len(ran)
    repeated = {key for key in calls if calls.count(key) > 1}
    assert len(calls) <= len(calm_calls) + 1, "one crash repeats one step at most"
    unsafe = {data["idempotency_key"] for data in journal.of("step.started") if data["effect"] == "unsafe"}
    assert not repeated & unsafe
    assert set(calls) <= set(calm_calls)
    sequences = [data["sequence"] for data in journal.of("checkpoint.saved")]
    assert sequences == list(range(1, len(sequences) + 1))


@given(operations=OPERATIONS, deaths=st.integers(1, 15))
@settings(max_examples=50, deadline=None)
def test_a_run_that_dies_at_every_save_in_turn_still_ends_the_same(operations, deaths):
    safe = [operation for operation in operations if operation != "unsafe"] or ["step"]
    calm = asyncio.run(execute_to_end(_program(safe, []), Journal()))
    journal = Journal()

    async def die_again_and_again() -> Any:
        for _ in range(deaths):  # each lease dies at its first save after the ones that are already kept
            try:
                outcome = await execute(_program(safe, []), journal, die_at=journal.saves + 1, die_after_write=True)
            except BaseException:  # noqa: BLE001
                continue
            if isinstance(outcome, Parked) and outcome.wake_at is not None:
                journal.now = outcome.wake_at
        return await execute_to_end(_program(safe, []), journal)

    assert asyncio.run(die_again_and_again()) == calm


# --- waits ------------------------------------------------------------------------------------------------------------


async def test_a_wait_for_an_event_parks_and_returns_its_payload_once_it_has_come():
    @job
    async def handler(ctx: Context) -> list[Any]:
        return [await ctx.wait_for_event("go", timeout_s=60), await ctx.wait_for_event("go", timeout_s=None)]

    journal = Journal()
    assert await execute(handler, journal) == Parked(journal.now + 60_000_000, "event", "go", "ctx.event:go")
    journal.kept["step"]["ctx.event:go"] = {"result": {"n": 1}}
    assert await execute(handler, journal, lease_epoch=2) == Parked(None, "event", "go", "ctx.event:go#2")
    journal.kept["step"]["ctx.event:go#2"] = {"result": {"n": 2}}
    assert await execute(handler, journal, lease_epoch=3) == Completed([{"n": 1}, {"n": 2}])


async def test_a_plain_function_waits_as_a_coroutine_does():
    @job
    def handler(ctx: SyncContext) -> dict[str, Any]:
        return ctx.wait_for_event("go")

    journal = Journal()
    assert await execute(handler, journal) == Parked(journal.now + 3_600_000_000, "event", "go", "ctx.event:go")


async def test_tasks_that_wait_for_several_things_sleep_first():
    @job
    async def handler(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.wait_for_event("go"))
            group.create_task(ctx.sleep(60))

    journal = Journal()
    journal.kept["step"]["ctx.sleep"] = {"wake_at": journal.now + 60_000_000}
    assert await execute(handler, journal, lease_epoch=2) == Parked(journal.now + 60_000_000)


@pytest.mark.parametrize("key", ["", None, 7])
async def test_the_key_of_an_event_is_a_text(key: Any):
    @job
    async def handler(ctx: Context) -> None:
        await ctx.wait_for_event(key)

    ended = await execute(handler, Journal())
    assert isinstance(ended, Failed)
    assert ended.error_class == "ValueError"


async def test_a_child_is_spawned_once_whatever_becomes_of_the_attempt():
    @job
    async def handler(ctx: Context) -> list[str]:
        return [(await ctx.spawn("resize", {"n": n}, priority=2)).run_id for n in (1, 2)]

    journal = Journal()
    with pytest.raises(LeaseLost):
        await execute(handler, journal, die_at=2)
    assert await execute(handler, journal, lease_epoch=2) == Completed(["run_2", "run_3"])
    keys = [child.idempotency_key for child in journal.spawned]
    assert keys == ["run_1:ctx.spawn:resize", "run_1:ctx.spawn:resize#2", "run_1:ctx.spawn:resize#2"]
    assert (journal.spawned[0].payload, journal.spawned[0].priority) == ({"n": 1}, 2)


async def test_an_awaited_child_parks_and_gives_its_result():
    @job
    async def handler(ctx: Context) -> Any:
        return (await ctx.spawn("resize", await_completion=True, timeout_s=60)).result

    journal = Journal()
    parked = Parked(journal.now + 60_000_000, "child", "run_2", "ctx.spawn:resize")
    assert await execute(handler, journal) == parked
    journal.kept["step"]["ctx.spawn:resize"] = {"result": ended("completed", result={"n": 1})}
    assert await execute(handler, journal, lease_epoch=2) == Completed({"n": 1})
    assert len(journal.spawned) == 1


async def test_an_awaited_child_that_failed_is_raised_and_can_be_caught():
    @job
    async def handler(ctx: Context) -> str:
        try:
            await ctx.spawn("resize", await_completion=True)
        except ChildFailed as failure:
            return f"{failure.status}: {failure.error_class}"
        return "completed"

    journal = Journal()
    journal.kept["step"]["ctx.spawn:resize"] = {"result": ended("failed", error_class="Boom", error="no")}
    assert await execute(handler, journal, lease_epoch=2) == Completed("failed: Boom")


async def test_an_awaited_child_that_failed_and_is_not_caught_fails_the_run_for_good():
    @job
    def handler(ctx: SyncContext) -> None:
        ctx.spawn("resize", await_completion=True)

    journal = Journal()
    journal.kept["step"]["ctx.spawn:resize"] = {"result": ended("failed", error_class="Boom", error="no")}
    failure = await execute(handler, journal, lease_epoch=2)
    assert isinstance(failure, Failed)
    assert (failure.error_class, failure.retryable, failure.code) == ("ChildFailed", False, "child.failed")


def ended(status: str, **more: Any) -> dict[str, Any]:
    return {"run_id": "run_2", "status": status, "result": None, "error": None, "error_class": None, **more}
