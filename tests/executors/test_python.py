"""Python handlers in the server's own process, end to end: what they write, keep and return is in the log and exact."""

import asyncio
import gc
import itertools
import threading
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from runwright.client.context import Context
from runwright.client.guard import CancelOnStop
from runwright.client.handlers import job
from runwright.client.worker import Worker
from runwright.domain.commands import Stop
from runwright.domain.events import CATALOGUE, schemas
from runwright.domain.lane import Lane
from runwright.domain.terminal_events import TYPES
from runwright.engine.attempt import Attempt
from runwright.engine.emitter import Buffer
from runwright.executors.python import PythonExecutor
from tests.engine.world import World, all_ended
from tests.waiting import until

OF_PROCESSES = {*TYPES, "process.started", "process.limited", "process.ended", "security.refused"}
"""What is told of commands, by who runs them."""


async def run_to_end(world: World, slug: str, **order):
    """Start the engine, run one run of a job to its end, and return its record."""
    world.engine.start()
    run_id = await world.submit(world.job(slug, max_attempts=order.pop("max_attempts", 1)), **order)
    await all_ended(world)
    await world.check()
    return await world.record(run_id)


@job
async def everything(ctx, payload):
    ctx.log("a line", "warning", key="value", data=5)
    ctx.progress(42.123, "half way", data=[1])
    ctx.stream("a piece of text")
    ctx.stream("", done=True)
    await ctx.checkpoint({"n": 1})
    await ctx.output("report", {"rows": 3}, schema={"type": "object", "required": ["rows"]})
    ctx.usage("openai", "small", prompt_tokens=3, completion_tokens=4, cost_microusd=5)
    ctx.tool_call("search", {"q": "x"}, {"hits": 1}, duration_ms=7)
    await ctx.set_state("cursor", {"page": 1})
    await ctx.delete_state("cursor")
    await ctx.annotate({"phase": "counted"})
    await ctx.step("pure", lambda: 1)
    await ctx.step("sent", lambda idempotency_key: idempotency_key, effect="idempotent")
    if ctx.attempt == 1:
        await ctx.step("charged", lambda: 1 / 0, effect="unsafe")
    try:
        await ctx.step("charged", lambda: 1, effect="unsafe")
    except Exception as unknown:  # noqa: BLE001 - what it is, is what the run says
        return {"raised": type(unknown).__name__, "epoch": ctx.lease_epoch}
    return None


@job(slug="everything-sync")
def everything_in_a_thread(ctx, payload):
    ctx.log("a line", "warning", key="value")
    ctx.progress(42.123, "half way")
    ctx.stream("a piece of text")
    ctx.stream("", done=True)
    ctx.checkpoint({"n": 1})
    ctx.output("report", {"rows": 3})
    ctx.step("pure", lambda: 1)
    ctx.step("sent", lambda: 1, effect="idempotent")
    return {"thread": threading.current_thread().name.startswith("runwright-handler")}


async def test_every_event_that_a_job_can_write_has_the_shape_of_its_schema(open_world):
    world = await open_world(everything)
    world.engine.start()
    run_id = await world.submit(world.job("everything", max_attempts=2, retry_initial_delay_secs=1))
    await all_ended(world)
    assert world.reader().result(await world.record(run_id)) == {"raised": "StepOutcomeUnknown", "epoch": 2}
    events = await world.events(run_id)
    validators = {name: jsonschema_rs.Draft202012Validator(schema) for name, schema in schemas().items()}
    for event in events:
        validators[event.type].validate(msgspec.json.decode(event.data))
    by_job = {name for name, entry in CATALOGUE.items() if entry.by_job}
    by_job -= OF_PROCESSES | {"iteration.reported", "resources.reported"}  # an endpoint has words for these, no handler
    assert by_job - {event.type for event in events} == set(), "and each of them is among these"
    await world.check()


async def test_values_that_events_name_are_described_there_and_kept(open_world):
    world = await open_world(everything)
    record = await run_to_end(world, "everything", max_attempts=1)
    reader, run_id = world.reader(), record.run.run_id
    assert [(seen.key, seen.value, seen.note) for seen in await reader.values(record, "output")] == [
        ("report", {"rows": 3}, {"type": "object", "required": ["rows"]})
    ]
    assert [(seen.key, seen.value) for seen in await reader.values(record, "checkpoint")] == [("1", {"n": 1})]
    for name, preview in (("checkpoint.saved", '{"n":1}'), ("output.saved", '{"rows":3}')):
        assert (await world.data(run_id, name))["value"]["preview"] == preview
    assert "value" not in await world.data(run_id, "step.started")


async def test_a_sync_handler_writes_the_same_from_its_thread_in_order(open_world):
    world = await open_world(everything_in_a_thread)
    record = await run_to_end(world, "everything-sync")
    assert world.reader().result(record) == {"thread": True}
    types = [name for name, _ in itertools.groupby(await world.types(record.run.run_id))]
    assert types == [
        "run.created",
        "run.started",
        "log",
        "run.progress",
        "stream.chunk",
        "checkpoint.saved",
        "output.saved",
        "step.completed",
        "step.started",
        "step.completed",
        "run.completed",
    ]


async def test_lines_that_a_thread_wrote_last_are_there_before_its_end(open_world):
    @job
    def chatty(ctx, payload):
        for number in range(200):
            ctx.log(f"line {number}")

    world = await open_world(chatty)
    record = await run_to_end(world, "chatty")
    logged = [event.message for event in await world.events(record.run.run_id) if event.type == "log"]
    assert logged == [f"line {number}" for number in range(200)]


@pytest.mark.parametrize(
    ("returned", "result"),
    [(None, None), ({"a": 1}, {"a": 1}), ([1], {"value": [1]}), ("text", {"value": "text"}), (0, {"value": 0})],
)
async def test_a_result_is_an_object_whatever_was_returned(open_world, returned, result):
    @job
    async def returns(ctx, payload):
        return returned

    world = await open_world(returns)
    assert world.reader().result(await run_to_end(world, "returns")) == result


async def test_a_handler_sees_its_run_exactly(open_world):
    seen: dict[str, Any] = {}

    @job
    async def looks(ctx, payload):
        seen.update(
            payload=payload,
            run_id=ctx.run_id,
            attempt=(ctx.attempt, ctx.lease_epoch),
            tags=dict(ctx.tags),
            metadata=dict(ctx.metadata),
            key=ctx.idempotency_key,
        )

    world = await open_world(looks)
    record = await run_to_end(
        world,
        "looks",
        payload={"secret": "hunter2-the-secret", "n": 1.5},
        tags={"a": "b"},
        metadata={"c": "d"},
        idempotency_key="my-key",
    )
    assert seen == {
        "payload": {"secret": "hunter2-the-secret", "n": 1.5},
        "run_id": record.run.run_id,
        "attempt": (1, 1),
        "tags": {"a": "b"},
        "metadata": {"c": "d"},
        "key": "my-key",
    }


async def test_an_output_that_is_not_what_its_schema_says_fails_the_attempt_and_keeps_nothing(open_world):
    @job
    async def wrong(ctx, payload):
        await ctx.output("report", {"rows": "three"}, schema={"properties": {"rows": {"type": "integer"}}})

    world = await open_world(wrong)
    record = await run_to_end(world, "wrong")
    assert record.run.state == "failed"
    assert await world.store.values(record.run.run_id, "output") == []


async def test_a_step_is_not_repeated_by_a_later_attempt(open_world):
    calls: list[int] = []

    def count() -> int:
        calls.append(1)
        return len(calls)

    @job
    async def steps(ctx, payload):
        value = await ctx.step("once", count)
        if ctx.attempt < 3:
            raise ValueError("boom")
        return {"value": value}

    world = await open_world(steps)
    world.engine.start()
    run_id = await world.submit(world.job("steps", retry_initial_delay_secs=1))
    for attempt in (1, 2):
        await until(lambda: world.rows("SELECT * FROM timers"))
        assert (await world.run(run_id)).attempt == attempt
        await world.past(1)
    await all_ended(world)
    assert calls == [1]
    assert world.reader().result(await world.record(run_id)) == {"value": 1}


async def test_a_stop_that_was_asked_for_before_the_handler_began_is_heeded(open_world):
    entered = []

    @job
    async def heeds(ctx, payload):
        entered.append(1)
        await ctx.step("never", lambda: entered.append(2))

    world = await open_world(heeds)
    order = world.order(world.job("heeds"))
    await world.engine.commit.apply_all([order, Stop(order.run_id, "cancel", order.cause)])
    await until(lambda: world.rows("SELECT * FROM leases") == [])
    assert await world.state(order.run_id) == "cancelled"
    assert (await world.data(order.run_id, "run.cancelled"))["confirmed"] is True
    assert 2 not in entered


def test_an_executor_serves_the_lanes_of_its_handlers():
    @job
    async def one(ctx, payload):
        return None

    @job(slug="two", queue="slow")
    async def other(ctx, payload):
        return None

    executor = PythonExecutor([Worker([one]), Worker([other])])
    lane = Lane("org_1", "default", "proj_1", "worker", "one")
    assert executor.serves(lane)
    assert executor.serves(lane._replace(queue="slow", handler="two", org_id="org_2", project_id="proj_9"))
    assert not executor.serves(lane._replace(handler="three"))
    assert not executor.serves(lane._replace(handler=""))
    assert not executor.serves(lane._replace(executor="http"))
    executor.close()


def test_an_executor_that_is_bound_to_queues_serves_no_others():
    @job
    async def one(ctx, payload):
        return None

    executor = PythonExecutor([Worker([one])], queues=["slow"])
    lane = Lane("org_1", "slow", "proj_1", "worker", "one")
    assert (executor.serves(lane), executor.serves(lane._replace(queue="default"))) == (True, False)
    executor.close()


async def test_handlers_in_threads_run_beside_each_other_up_to_the_number_of_threads(open_world):
    meeting = threading.Barrier(8)  # the world's executor has eight threads

    @job
    def meets(ctx, payload):
        meeting.wait(20)

    world = await open_world(meets)
    world.engine.start()
    run_ids = await asyncio.gather(*(world.submit(world.job("meets", max_attempts=1)) for _ in range(8)))
    await until(lambda: not world.rows("SELECT run_id FROM run_heads"))
    assert {await world.state(run_id) for run_id in run_ids} == {"completed"}


@pytest.fixture
def uncollected():
    """Keep the garbage collector from running, as if it came late."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_an_attempt_that_ended_leaves_nothing_to_the_garbage_collector(open_world, uncollected):
    @job
    async def simple(ctx, payload):
        ctx.log("a line")

    before = of_attempts()  # those that other tests of this process still hold
    world = await open_world(simple)
    await run_to_end(world, "simple")
    assert [type(each) for each in of_attempts() if not any(each is other for other in before)] == []


def of_attempts() -> list[Any]:
    """Return the objects of attempts that are alive."""
    return [each for each in gc.get_objects() if isinstance(each, Attempt | Buffer | CancelOnStop | Context)]
