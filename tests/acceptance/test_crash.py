"""Kill -9: what was acknowledged is never lost, what had finished is never done again, and the log proves it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.frames import events, seqs
from tests.acceptance.gate import Gate
from tests.acceptance.handlers import lines
from tests.acceptance.ledger import audit, ledger, leftovers
from tests.acceptance.live_server import MORTAL, LiveServer
from tests.acceptance.speech import Json, Speech, said
from tests.engine.databases import Database

pytestmark = [pytest.mark.xdist_group("acceptance-crash"), pytest.mark.slow]

IN_FLIGHT = 200
FINISHED = 60


@pytest.fixture
async def live(tmp_path: Path, database: Database) -> AsyncIterator[LiveServer]:
    server = LiveServer(tmp_path, database, **MORTAL, slots=IN_FLIGHT + 50)
    await server.start()
    yield server
    await server.close()


async def submitted(api: Speech, job: str, payload: Json, count: int) -> list[str]:
    """Start runs in bulk and return their ids."""
    answer = await api.bulk(job, [{"payload": {**payload, "place": place}} for place in range(count)])
    return [result["id"] for result in answer["results"]]


async def ended(api: Speech, run_ids: list[str]) -> list[Json]:
    """Follow runs to their ends, some at a time."""
    turns = asyncio.Semaphore(20)

    async def one(run_id: str) -> Json:
        async with turns:
            return await api.ended(run_id)

    return await asyncio.gather(*(one(run_id) for run_id in run_ids))


async def test_appendix_c_19_200_runs_in_flight_survive_a_kill_and_none_that_had_finished_is_executed_again(
    live: LiveServer, gate: Gate, notes: Path
):
    api = Speech(live.client())
    job = await api.job("journal")
    finished = await submitted(api, job, {"file": str(notes)}, FINISHED)
    assert {run["state"] for run in await ended(api, finished)} == {"completed"}
    flying = await submitted(api, job, {"file": str(notes), "gate": gate.port}, IN_FLIGHT)
    await gate.arrived(IN_FLIGHT)
    assert {run["status"] for run in await api.runs(job_id=job, limit=IN_FLIGHT)} == {"executing"}

    gate.let_go(IN_FLIGHT // 2)  # these end, or have ended and not yet said so, when the blow comes
    await live.kill()
    gate.open()
    await live.start()

    api = Speech(live.client())
    runs = {run["id"]: run for run in await ended(api, finished + flying)}
    assert set(runs) == {run["id"] for run in await api.listed("/v1/runs", limit=500)}, "none lost, none more"
    assert {run["status"] for run in runs.values()} == {"completed"}
    for run_id in (*finished[::6], *flying[::6]):
        raw = await api.stream(run_id, after_seq=0)
        assert seqs(events(raw)) == list(range(1, runs[run_id]["last_seq"] + 1))

    await live.stop()
    entries = await ledger(live.database)
    audit(entries)
    assert await leftovers(live.database) == []
    begun = Counter(words[1] for words in lines(notes) if words[0] == "begin")
    steps = Counter(words[1] for words in lines(notes) if words[0] == "step")
    assert set(begun) == set(runs)
    for run_id, (_, log) in entries.items():
        starts = [event for event in log if event.type == "run.started"]
        assert begun[run_id] == len(starts), "a handler begins once for each lease, and for no other reason"
        assert steps[run_id] == 1, "a step that is finished is not run again"
    assert {begun[run_id] for run_id in finished} == {1}, "what had finished is not executed again"
    assert max(begun[run_id] for run_id in flying) == 2, "the blow hit some in the middle"


async def test_a_kill_costs_an_attempt_where_one_was_under_way_and_nothing_elsewhere(live: LiveServer, gate: Gate):
    api = Speech(live.client())
    once = await api.trigger(await api.job("hold", max_attempts=1), {"gate": gate.port})
    twice = await api.trigger(await api.job("hold", max_attempts=2), {"gate": gate.port})
    single = await api.job("hold", max_concurrency=1)
    first, second = [(await api.trigger(single, {"gate": gate.port}))["id"] for _ in range(2)]
    later = await api.trigger(await api.job("hold"), {"gate": gate.port}, scheduled_at="2026-01-01T00:00:00Z")
    waiting = await api.trigger(await api.job("nap"), {"secs": 1})
    unsafe = await api.trigger(await api.job("pay"), {"gate": gate.port})
    await api.until(waiting["id"], "run.waiting")
    await gate.arrived(5)
    effects = await said(api.client.get(f"/v1/runs/{unsafe['id']}/effects"))
    assert (effects["unknown"], effects["safe_to_resume"]) == (["charge"], False)
    assert (await api.run(second))["status"] == "queued"

    await live.kill()
    await gate.left()  # or it would let go who is dead
    gate.open()
    await live.start()

    api = Speech(live.client())
    crashed = await api.ended(once["id"])
    assert (crashed["status"], crashed["reason"], crashed["error_class"]) == ("crashed", "crash", "WorkerLost")
    assert (crashed["dead_lettered_at"], crashed["attempt"]) == (None, 1)
    assert await api.runs(status="crashed") == [crashed]
    retried = await api.ended(twice["id"])
    assert (retried["status"], retried["attempt"], retried["lease_epoch"]) == ("completed", 2, 2)
    attempts = await api.listed(f"/v1/runs/{twice['id']}/attempts")
    assert [(each["attempt"], each["outcome"]) for each in attempts] == [(1, "crashed"), (2, "completed")]
    assert (await api.ended(second))["attempt"] == 1, "it waited for a slot and lost nothing"
    assert (await api.ended(first))["attempt"] == 2
    assert (await api.ended(later["id"]))["attempt"] == 2
    slept = await api.ended(waiting["id"])
    assert (slept["status"], slept["attempt"], slept["lease_epoch"]) == ("completed", 1, 2)
    broken = await api.ended(unsafe["id"])
    assert (broken["status"], broken["error_class"]) == ("dead_letter", "StepOutcomeUnknown")
    assert "charge" not in gate.passed, "an unsafe step is not done again"
    assert "step.unknown" in {event["type"] for event in await api.events(unsafe["id"])}
    await live.stop()
    audit(await ledger(live.database))
    assert await leftovers(live.database) == []


async def test_acknowledged_triggers_are_there_after_a_kill_in_the_middle_of_a_storm(live: LiveServer):
    api = Speech(live.client())
    job = await api.job("echo")
    acknowledged: list[str] = []
    enough = asyncio.Event()

    async def storm() -> None:
        while True:
            try:
                run = await api.trigger(job, {"text": "x" * 200})
            except Exception:  # noqa: BLE001 - whatever a killed server looks like from outside
                return
            acknowledged.append(run["id"])
            if len(acknowledged) >= 300:
                enough.set()

    clients = [asyncio.create_task(storm()) for _ in range(16)]
    async with asyncio.timeout(60):
        await enough.wait()
    await live.kill()
    await asyncio.gather(*clients)
    await live.start()
    api = Speech(live.client())
    states = {run["id"]: run["state"] for run in await ended(api, acknowledged)}
    assert set(states.values()) == {"completed"}
    assert set(acknowledged) <= {run["id"] for run in await api.listed("/v1/runs", limit=500)}
    await live.stop()
    audit(await ledger(live.database))


async def test_06_a_workflow_survives_a_kill_at_each_of_its_steps_and_makes_each_once(live: LiveServer, gate: Gate):
    api = Speech(live.client())
    hold = await api.job("hold")
    needs: dict[str, list[str]] = {"top": [], "left": ["top"], "right": ["top"], "bottom": ["left", "right"]}
    steps: list[Json] = [{"key": key, "job": hold, "depends_on": before} for key, before in needs.items()]
    run = await api.launch((await api.flow(steps))["id"], {"gate": gate.port})
    for count in (1, 2, 1):
        await gate.arrived(count)
        await live.kill()
        await live.start()
        await gate.arrived(count)  # again, in the attempts that follow the lost ones
        gate.let_go(count)
    api = Speech(live.client())
    assert (await api.ended(run["id"]))["status"] == "completed"
    made = await api.listed(f"/v1/runs/{run['id']}/children")
    assert sorted(each["workflow_step_run_id"] for each in made) == sorted(f"{run['id']}.step.{key}" for key in needs)
    assert {(each["status"], each["attempt"]) for each in made} == {("completed", 2)}
    log = await api.events(run["id"])
    assert [event["type"] for event in log].count("workflow.step_started") == len(needs)
