"""Limits and order: never more at once than a job, a key or a project allows, and the important first."""

import asyncio
from pathlib import Path

import pytest

from tests.acceptance.gate import Gate
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Speech, said, unique
from tests.engine.databases import Database

pytestmark = pytest.mark.xdist_group("acceptance-jobs")


async def drained(api: Speech, gate: Gate, run_ids: list[str], most: int) -> None:
    """Let runs through the gate one by one; never are more than `most` there."""
    for left in range(len(run_ids), 0, -1):
        await gate.arrived(min(most, left))
        assert len(gate.waiting) <= most
        executing = [run for run in run_ids if (await api.run(run))["status"] == "executing"]
        assert len(executing) <= most
        gate.let_go(1)
    for run_id in run_ids:
        assert (await api.ended(run_id))["status"] == "completed"


async def test_a_job_executes_no_more_than_it_allows(api: Speech, gate: Gate):
    job = await api.job("hold", max_concurrency=2)
    runs = [(await api.trigger(job, {"gate": gate.port}))["id"] for _ in range(7)]
    await drained(api, gate, runs, most=2)


async def test_a_key_executes_no_more_than_its_job_allows_each(api: Speech, gate: Gate):
    job = await api.job("hold", max_concurrency_per_key=1)
    ones = [(await api.trigger(job, {"gate": gate.port}, concurrency_key="a"))["id"] for _ in range(3)]
    others = [(await api.trigger(job, {"gate": gate.port}, concurrency_key="b"))["id"] for _ in range(2)]
    free = [(await api.trigger(job, {"gate": gate.port}))["id"] for _ in range(3)]
    await gate.arrived(5)
    assert set(gate.waiting) == {ones[0], others[0], *free}
    gate.let_go(5)
    await gate.arrived(2)
    assert set(gate.waiting) == {ones[1], others[1]}
    gate.open()
    for run_id in (*ones, *others, *free):
        assert (await api.ended(run_id))["status"] == "completed"


async def test_a_project_executes_no_more_than_it_allows_over_all_its_jobs(api: Speech, gate: Gate):
    body = {"slug": unique("narrow"), "max_concurrency": 2}
    project = (await said(api.client.post("/v1/projects", json=body), 201))["id"]
    jobs = [await api.job("hold", project_id=project) for _ in range(3)]
    runs = [(await api.trigger(job, {"gate": gate.port}))["id"] for job in jobs for _ in range(2)]
    await drained(api, gate, runs, most=2)


async def test_a_slot_is_free_again_after_a_cancel_a_pause_a_failure_and_a_sleep(api: Speech, gate: Gate):
    job = await api.job("hold", max_concurrency=1)
    runs = [(await api.trigger(job, {"gate": gate.port}))["id"] for _ in range(4)]
    await gate.arrived()
    assert gate.waiting == [runs[0]]
    await said(api.client.delete(f"/v1/runs/{runs[0]}"))
    await gate.arrived(word=runs[1])
    await api.verb(runs[1], "pause")
    await gate.arrived(word=runs[2])
    await said(api.client.delete(f"/v1/runs/{runs[3]}"))
    gate.open()
    assert (await api.ended(runs[2]))["status"] == "completed"
    await api.verb(runs[1], "resume")
    assert (await api.ended(runs[1]))["status"] == "completed"
    failing = await api.job("stumble", max_concurrency=1, max_attempts=2)
    await asyncio.gather(*(api.done(failing) for _ in range(5)))
    napping = await api.job("nap", max_concurrency=1)
    naps = [await api.trigger(napping, {"secs": 3600}) for _ in range(5)]
    for nap in naps:
        await api.until(nap["id"], "run.waiting")
    assert {(await api.run(nap["id"]))["status"] for nap in naps} == {"waiting"}, "who sleeps holds no slot"
    for _ in range(2):
        assert (await api.done(napping, {"secs": 0.05}))["status"] == "completed", "nor has who wakes lost his"
    for nap in naps:
        await said(api.client.delete(f"/v1/runs/{nap['id']}"))


async def in_order(api: Speech, gate: Gate, job: str, names: list[tuple[str, int]]) -> list[str]:
    """Start runs behind one that stands at the gate, and return their names in the order in which they come to it."""
    runs = [await api.trigger(job, {"gate": gate.port, "word": "holder"})]
    await gate.arrived(word="holder")
    for name, priority in names:
        runs.append(await api.trigger(job, {"gate": gate.port, "word": name}, priority=priority))
    order = []
    for _ in names:
        gate.let_go(1)
        await gate.arrived()
        order += gate.waiting
    gate.open()
    for run in runs:
        assert (await api.ended(run["id"]))["status"] == "completed"
    return order


LINE = [("low-1", 0), ("low-2", 0), ("high-1", 9), ("low-3", 0), ("high-2", 9)]
# Priority is a bounded head start: it overtakes all but the first in line.
OVERTAKEN = ["low-1", "high-1", "high-2", "low-2", "low-3"]


async def test_the_important_overtakes_those_who_wait_for_a_slot_of_the_job(api: Speech, gate: Gate):
    # In a queue of its own: what other tests left ready in theirs would be the first in line.
    job = await api.job("hold", max_concurrency=1, queue="line")
    assert await in_order(api, gate, job, LINE) == OVERTAKEN


async def test_the_important_overtakes_those_who_wait_for_a_worker(tmp_path: Path, database: Database, gate: Gate):
    live = LiveServer(tmp_path, database, slots=1)
    await live.start()
    try:
        api = Speech(live.client())
        assert await in_order(api, gate, await api.job("hold"), LINE) == OVERTAKEN
        gate.close()
        equals = [(f"run-{n}", 5) for n in range(6)]
        assert await in_order(api, gate, await api.job("hold"), equals) == [name for name, _ in equals]
    finally:
        await live.close()


async def test_the_priority_of_a_job_is_that_of_its_runs_unless_they_say_otherwise(api: Speech):
    job = await api.job("echo", priority=4)
    assert (await api.trigger(job))["priority"] == 4
    assert (await api.trigger(job, priority=0))["priority"] == 0
