"""KPIs are what a recount of the runs gives: each run once, in the window in which it ended, whoever counts it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.events import Draft
from runwright.domain.instants import DAY_US, EPOCH, HOUR_US
from runwright.domain.kpi import Metric, Window, hour_after
from runwright.domain.kpi_sums import Place, Sums
from runwright.domain.redaction import Redactor
from runwright.engine.kpi import Order, Report
from runwright.store.base import Transaction
from runwright.store.queries import kpi as sql
from tests.domain import kpi_golden as golden
from tests.engine.agents import agent_run
from tests.engine.world import PROJECT, World, failed

redactor = Redactor()
OTHER = "proj_2"


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def order(world: World, **given: Any) -> Order:
    usual = {"org_id": "org_1", "project_id": None, "as_of": hour_after(world.clock.now())}
    return Order(**{**usual, "compare_days": 7, "baseline_days": 28, **given})


async def settle(world: World) -> None:
    while world.rows("SELECT 1 FROM outbox LIMIT 1"):
        await world.round_of(world.engine.operations.outbox.loop)


async def report(world: World, **given: Any) -> Report:
    """Return the KPIs once the outbox is settled."""
    await settle(world)
    return await world.engine.operations.kpi.report(order(world, **given))


def named(metrics: Sequence[Metric]) -> dict[str, Metric]:
    return {metric.id: metric for metric in metrics}


async def play(world: World, runs: Sequence[golden.GoldenRun]) -> None:
    """Make, begin and end each run at its minute."""
    acts: list[tuple[datetime, int, str]] = []
    for number, run in enumerate(runs):
        made = datetime(2027, *run.day, tzinfo=UTC) + timedelta(minutes=run.made)
        acts.append((made, number, "make"))
        acts += [(made + timedelta(minutes=run.began), number, "take")] if run.began is not None else []
        acts += [(made + timedelta(minutes=run.ended), number, "end")] if run.ended is not None else []
    order_of = ("make", "take", "end")
    made_ids: dict[int, str] = {}
    for at, number, act in sorted(acts, key=lambda each: (each[0], each[1], order_of.index(each[2]))):
        world.clock.advance((micros(at) - world.clock.now()) / 1e6)
        run, queue = runs[number], f"q{number}"
        if act == "make":
            job = world.job(f"j{number}", queue=queue, max_attempts=run.attempts, retry_initial_delay_secs=0)
            made_ids[number] = await world.submit(job)
        elif act == "take":
            for _ in range(run.attempts - 1):
                await world.finish((await world.take(queue=queue))[0], failed())
                await world.past(0)
            await world.take(queue=queue)
        elif run.state == "cancelled":
            await world.stop(made_ids[number])
        else:
            outcome = o.Completed() if run.state == "completed" else failed(retryable=False)
            await world.finish(await world.run(made_ids[number]), outcome)


async def test_scenario_10_kpis_are_those_worked_out_by_hand_with_empty_windows_and_censored_data(open_world):
    world = await open_world()
    await play(world, golden.RUNS)
    world.clock.advance((micros(golden.AS_OF) - world.clock.now()) / 1e6)
    found = await report(world, as_of=micros(golden.AS_OF))
    assert found.compare == Window(micros(golden.COMPARE_FROM), micros(golden.AS_OF))
    assert found.baseline == Window(micros(golden.BASELINE_FROM), micros(golden.COMPARE_FROM))
    assert found.history_from == micros(golden.HISTORY_FROM)
    metrics = named(found.metrics)
    for name, (value, n) in golden.COMPARE.items():
        assert metrics[name].compare.value == pytest.approx(value), name
        assert metrics[name].compare.n == n, name
    for name, (value, n) in golden.BASELINE.items():
        assert metrics[name].baseline.value == pytest.approx(value), name
        assert metrics[name].baseline.n == n, name
    closed = metrics["time_to_close"]
    assert (closed.compare.p90, closed.baseline.p90) == (golden.P90["compare"], golden.P90["baseline"])
    assert (closed.compare.censored, closed.baseline.censored) == (golden.CENSORED["compare"], 2)
    assert metrics["success_rate"].compare.ci95 == pytest.approx(golden.FOUR_OF_FIVE, abs=1e-4)
    assert metrics["success_rate"].significance == "no_change"
    for name in golden.EMPTY:
        for empty in (metrics[name].compare, metrics[name].baseline):
            assert (empty.value, empty.n, empty.ci95) == (None, 0, None), name
        assert metrics[name].significance == "insufficient_data"
    # An hour later everything is the same, of windows that end when those did; and before there was anything, nothing.
    world.clock.advance(3600)
    assert (await report(world, as_of=micros(golden.AS_OF))).metrics == found.metrics
    before = await report(world, as_of=micros(golden.BASELINE_FROM) - 2 * DAY_US)
    assert {(each.compare.value, each.compare.n) for each in before.metrics if each.id != "throughput"} == {(None, 0)}


async def test_k19_a_window_larger_than_the_history_states_no_difference(open_world):
    world = await open_world()
    for minutes in range(8):
        await play_one(world, minutes + 1)
    world.clock.advance(86_400)
    for minutes in range(8):
        await play_one(world, 10 * (minutes + 1))
    short = await report(world, compare_days=1, baseline_days=2)
    assert short.history_from is not None
    assert short.history_from > short.baseline.since
    told = named(short.metrics)["time_to_close"]
    assert (told.compare.n, told.baseline.n, told.significance) == (8, 8, "insufficient_data")
    assert told.delta_abs == 36 * 60_000, "what is known is shown: medians of 40 and 4 minutes"
    assert {metric.significance for metric in short.metrics} == {"insufficient_data"}
    world.clock.advance(2 * 86_400)
    for _ in range(8):
        await play_one(world, 1)
    enough = await report(world, compare_days=1, baseline_days=2)
    assert enough.history_from is not None
    assert enough.history_from <= enough.baseline.since
    assert named(enough.metrics)["time_to_close"].significance == "improved"
    assert named(enough.metrics)["success_rate"].significance == "no_change"


async def play_one(world: World, minutes: float) -> None:
    await world.submit(world.job())
    (run,) = await world.take()
    world.clock.advance(minutes * 60)
    await world.finish(run, o.Completed())


async def append(world: World, run_id: str, *events: tuple[float, str, dict[str, Any]]) -> None:
    """Write events into the log of an executing run, each so many seconds after the one before."""
    for seconds, type_, data in events:
        world.clock.advance(seconds)
        run = await world.run(run_id)
        draft = Draft(type_, redactor.raw(msgspec.json.encode(data)))
        await world.engine.commit.apply(c.Append(run_id, run.lease_epoch, (draft,)))


def used(call: str, cost: int | None, tokens: int) -> tuple[float, str, dict[str, Any]]:
    data = {"llm_call_id": call, "provider": "scripted", "model": "echo", "input_tokens": tokens, "cached_tokens": 0}
    return (0, "usage.recorded", {**data, "output_tokens": 0, "cost_microusd": cost})


ASKED = {"llm_call_id": "c", "turn": 1, "provider": "scripted", "model": "echo", "prompt": []}
ANSWERED = {"llm_call_id": "c", "text": "t", "stop_reason": "stop"}
CALLED = {"tool_call_id": "t1", "tool_name": "files", "arguments": {}, "risk": "low", "args_sha256": ""}


async def test_what_agents_did_is_read_from_their_logs(open_world):
    world = await open_world()
    costs = (1_000_000, 3_000_000, None)
    for cost in costs:
        await world.engine.commit.apply(agent_run(world))
        (run,) = await world.take()
        again = {"llm_call_id": "c", "delay_ms": 1, "code": "rate", "message": "later"}
        await append(world, run.run_id, (0, "llm.request", ASKED), (5, "llm.retry", again), (1, "llm.request", ASKED))
        await append(world, run.run_id, (7, "llm.response", ANSWERED), used("c", cost, 100), (0, "tool.call", CALLED))
        await world.finish(await world.run(run.run_id), o.Completed())
    found = named((await report(world)).metrics)
    value = {name: (metric.compare.value, metric.compare.n) for name, metric in found.items()}
    assert value["model_latency"] == (7000.0, 3), "from the request that was answered"
    assert value["model_answer_rate"] == (0.5, 6)
    assert value["cost_per_run"] == (2.0, 2), "a cost that nobody knows is not zero: the run is left out"
    assert value["tokens_per_run"] == (100.0, 3)
    assert value["tool_calls_per_run"] == (1.0, 3)
    assert value["recovery_rate"] == (0.0, 3)
    groups = (await report(world, group_by="model")).groups
    assert [(group.label, group.runs) for group in groups] == [("scripted/echo", 3)]
    assert named(groups[0].metrics)["cost_per_run"].compare.value == 2.0
    assert named(groups[0].metrics)["time_to_close"].compare.censored is None, "who is open is not counted by labels"


async def test_loops_are_measured_by_why_they_stopped_and_after_how_many_iterations(open_world):
    world = await open_world()
    for reason, iterations in golden.LOOPS:
        await world.submit(world.job())
        (run,) = await world.take()
        await append(world, run.run_id, (1, "loop.stopped", {"exit_reason": reason, "iterations": iterations}))
        await world.finish(await world.run(run.run_id), o.Completed())
    metrics = named((await report(world)).metrics)
    for name, (value, n) in golden.OF_LOOPS.items():
        assert metrics[name].compare.value == pytest.approx(value), name
        assert metrics[name].compare.n == n, name


async def test_a_project_counts_its_own_runs_and_an_organization_all(open_world):
    world = await open_world()
    other = msgspec.structs.replace(PROJECT, project_id=OTHER, slug=OTHER)
    await play_one(world, 1)
    await world.submit(world.job("theirs", project=other), other)
    (run,) = await world.take()
    await world.finish(run, failed(retryable=False))
    rates = {
        project: (metric.compare.value, metric.compare.n)
        for project in (None, "proj_1", OTHER, "proj_3")
        for metric in [named((await report(world, project_id=project)).metrics)["success_rate"]]
    }
    assert rates == {None: (0.5, 2), "proj_1": (1.0, 1), OTHER: (0.0, 1), "proj_3": (None, 0)}
    assert named((await report(world, org_id="org_2")).metrics)["success_rate"].compare.n == 0
    kinds = (await report(world, group_by="kind")).groups
    assert [(group.label, group.runs) for group in kinds] == [("job", 2)]


async def test_every_number_leads_to_its_runs_page_by_page(open_world):
    world = await open_world()
    for minutes in range(1, 6):
        await play_one(world, minutes)
    await settle(world)
    asked, keep = order(world), world.engine.operations.kpi
    window = Window(asked.as_of - DAY_US, asked.as_of)
    whole = await keep.runs(asked, window, {}, 10)
    assert [each.facts.total_us // 60_000_000 for each in whole] == [5, 4, 3, 2, 1]
    first = await keep.runs(asked, window, {"kind": "job"}, 2)
    rest = await keep.runs(asked, window, {"kind": "job"}, 10, beyond=(first[-1].ended_at, first[-1].run_id))
    assert [*first, *rest] == whole
    assert await keep.runs(msgspec.structs.replace(asked, project_id="proj_1"), window, {}, 10) == whole
    assert await keep.runs(msgspec.structs.replace(asked, project_id=OTHER), window, {}, 10) == []
    assert await keep.runs(asked, window, {"kind": "agent"}, 10) == []
    oldest_first = await keep.runs(asked, window, {}, 10, newest_first=False)
    assert oldest_first == list(reversed(whole))


async def test_every_run_is_counted_once_over_a_crash_and_by_two_servers_at_once(open_world):
    world = await open_world(outbox_batch=2)
    for minutes in range(1, 4):
        await play_one(world, minutes)
    await world.round_of(world.engine.operations.outbox.loop)
    await world.crash()
    again = await open_world(outbox_batch=2)
    for minutes in range(1, 4):
        await play_one(again, minutes)
    loop = again.engine.operations.outbox.loop
    async with asyncio.timeout(20):
        while again.rows("SELECT 1 FROM outbox LIMIT 1"):
            await asyncio.gather(again.round_of(loop), again.round_of(loop))
    found = named((await report(again)).metrics)
    assert (found["time_to_close"].compare.n, found["time_to_close"].compare.value) == (6, 120_000.0)
    assert again.rows("SELECT count(*) FROM kpi_runs") == [(6,)]


async def test_a_replay_that_gives_the_same_is_reproduced(open_world):
    world = await open_world()
    job = world.job()

    async def made(value: Any, replay_of: str | None = None) -> str:
        submit = world.order(job)
        spec = msgspec.structs.replace(submit.spec, replay_of=replay_of)
        again = msgspec.structs.replace(submit, spec=spec, opening=redactor.raw(msgspec.json.encode(spec)))
        made_id: str = (await world.engine.commit.apply(again)).run_id
        (run,) = await world.take()
        encoded = msgspec.json.encode(value)
        sealed = world.engine.values.seal("proj_1", run.run_id, "result", encoded)
        await world.finish(run, o.Completed(result=world.engine.values.ref("proj_1", encoded), sealed=sealed))
        return made_id

    first = await made({"a": 1})
    await made({"a": 1}, replay_of=first)
    await made({"a": 2}, replay_of=first)
    rate = named((await report(world)).metrics)["reproducibility_rate"].compare
    assert (rate.value, rate.n) == (0.5, 2)


async def test_what_is_old_is_forgotten_and_what_is_not_stays(open_world):
    world = await open_world(kpi_days=10)
    await play_one(world, 1)
    world.clock.advance(8 * 86_400)
    await play_one(world, 1)
    await settle(world)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT count(*) FROM kpi_runs") == [(2,)]
    world.clock.advance(3 * 86_400)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT count(*) FROM kpi_runs") == [(1,)]
    assert world.rows("SELECT count(DISTINCT at) FROM kpi_sums WHERE grain = 'hour'") == [(1,)]


async def test_the_windows_lie_side_by_side_and_end_with_the_hour_that_runs(open_world):
    world = await open_world()
    now = world.clock.now()
    found = await report(world, compare_days=3, baseline_days=5)
    assert found.compare.until - now <= HOUR_US
    assert found.compare.until > now
    assert (found.compare.days, found.baseline.days, found.baseline.until) == (3, 5, found.compare.since)
    assert found.history_from is None


async def test_an_answer_with_many_groups_is_added_up_beside_the_event_loop(
    open_world, monkeypatch: pytest.MonkeyPatch
):
    world = await open_world()
    await play_one(world, 1)
    await settle(world)
    asked = order(world, group_by="repo")
    (one,) = await world.engine.operations.kpi.runs(asked, Window(asked.as_of - DAY_US, asked.as_of), {}, 10)
    sums = Sums()
    sums.take([one])

    async def many(tx: Transaction) -> None:
        for number in range(300):
            place = Place("org_1", "", "repo", f"/srv/{number}", "hour", one.hour_at)
            await tx.fetch(sql.INSERT_SUMS, **msgspec.structs.asdict(place), sums=sql.encoded(sums))

    await world.store.write(many)
    threads: list[int] = []

    def seen(stored: bytes) -> Sums:
        threads.append(threading.get_ident())
        return decoded(stored)

    decoded = sql.decoded
    monkeypatch.setattr(sql, "decoded", seen)
    assert (await world.engine.operations.kpi.report(asked)).groups_total == 300
    of_loop = threads.count(threading.get_ident())
    assert (len(threads) > 300, of_loop < 10) == (True, True), "nobody else is served while many are added up"
