"""The words of the jobs surface: each that a run can show is shown by one, and its filter finds exactly that one."""

from collections.abc import AsyncIterator

import pytest

from runwright.domain.words import JOB_WORDS
from tests.acceptance.gate import Gate, opened_gate
from tests.acceptance.live_server import MORTAL, LiveServer
from tests.acceptance.speech import Json, Speech, later, refused
from tests.engine.databases import Database

pytestmark = [pytest.mark.xdist_group("acceptance-words"), pytest.mark.slow]

UNREACHABLE = {"dequeued", "system_failed"}
"""What no caller brings about: an executor whose claim and begin are two steps, and a store that cannot be read."""


class Shown:
    """A server that has a run for each word."""

    def __init__(self, api: Speech, gate: Gate, runs: dict[str, str]) -> None:
        self.api = api
        self.gate = gate
        self.runs = runs


@pytest.fixture(scope="module")
async def shown(tmp_path_factory: pytest.TempPathFactory, module_database: Database) -> AsyncIterator[Shown]:
    async with opened_gate() as gate:
        live = LiveServer(tmp_path_factory.mktemp("words"), module_database, **MORTAL)
        await live.start()
        lost = await lost_with_its_server(live, gate)
        api = Speech(live.client())
        runs = await by_themselves(api, gate)
        yield Shown(api, gate, {"crashed": lost, **runs})
        gate.open()
        await live.close()


async def lost_with_its_server(live: LiveServer, gate: Gate) -> str:
    """Kill the server in the middle of a run that has no attempt left."""
    api = Speech(live.client())
    lost = await api.trigger(await api.job("hold", max_attempts=1), {"gate": gate.port})
    await gate.arrived()
    await live.kill()
    await live.start()
    return str((await Speech(live.client()).ended(lost["id"]))["id"])


async def by_themselves(api: Speech, gate: Gate) -> dict[str, str]:
    runs: dict[str, Json] = {}
    hold = await api.job("hold")
    single = await api.job("hold", max_concurrency=1)
    once = await api.job("stumble", max_attempts=1)
    runs["expired"] = await api.trigger(await api.job("nobody"), ttl_secs=1)
    runs["timed_out"] = await api.trigger(once, {"how": "slow"}, timeout_secs_override=1)
    runs["executing"] = await api.trigger(single, {"gate": gate.port})
    runs["queued"] = await api.trigger(single, {"gate": gate.port})
    now = runs["queued"]["created_at"]
    runs["delayed"] = await api.trigger(hold, {"gate": gate.port}, scheduled_at=later(now, hours=1))
    runs["waiting"] = await api.trigger(await api.job("nap"), {"secs": 3600})
    runs["paused"] = await api.trigger(hold, {"gate": gate.port}, scheduled_at=later(now, hours=2))
    runs["canceled"] = await api.trigger(hold, {"gate": gate.port}, scheduled_at=later(now, hours=3))
    runs["completed"] = await api.trigger(await api.job("echo"))
    runs["failed"] = await api.trigger(once, {"how": "error"})
    runs["dead_letter"] = await api.trigger(await api.job("stumble", max_attempts=2), {"how": "error"})
    await gate.arrived()
    await api.verb(runs["paused"]["id"], "pause")
    await api.client.delete(f"/v1/runs/{runs['canceled']['id']}")
    await api.until(runs["waiting"]["id"], "run.waiting")
    for word in ("expired", "timed_out", "completed", "failed", "dead_letter"):
        await api.ended(runs[word]["id"])
    return {word: run["id"] for word, run in runs.items()}


async def test_each_word_is_shown_by_its_run_and_its_filter_finds_that_run_alone(shown: Shown):
    assert set(shown.runs) == set(JOB_WORDS) - UNREACHABLE
    for word, run_id in shown.runs.items():
        assert (await shown.api.run(run_id))["status"] == word
        assert [run["id"] for run in await shown.api.runs(status=word)] == [run_id], word
    assert await shown.api.runs(status="dequeued") == []


async def test_all_words_together_are_all_runs(shown: Shown):
    found = [run["id"] for run in await shown.api.runs(status=list(JOB_WORDS))]
    assert found == sorted(shown.runs.values(), reverse=True)


async def test_cancelled_and_running_are_understood_too(shown: Shown):
    assert [run["id"] for run in await shown.api.runs(status="cancelled")] == [shown.runs["canceled"]]
    assert [run["id"] for run in await shown.api.runs(status="running")] == [shown.runs["executing"]]
    await refused(shown.api.client.get("/v1/runs", params={"status": "Completed"}), 422, "request.invalid")


async def test_the_states_inside_are_filters_too(shown: Shown):
    words = {
        "scheduled": {"delayed"},
        "queued": {"queued"},
        "executing": {"executing"},
        "waiting": {"waiting"},
        "paused": {"paused"},
        "completed": {"completed"},
        "failed": {"failed", "timed_out", "crashed", "dead_letter"},
        "cancelled": {"canceled"},
        "expired": {"expired"},
    }
    for state, shows in words.items():
        assert {run["status"] for run in await shown.api.runs(state=state)} == shows


async def test_why_a_run_ended_is_told_beside_its_word(shown: Shown):
    told = {
        word: (run["reason"], run["error_class"])
        for word, run_id in shown.runs.items()
        if (run := await shown.api.run(run_id))
    }
    assert told["failed"] == ("error", "ValueError")
    assert told["timed_out"] == ("timeout", "Timeout")
    assert told["crashed"] == ("crash", "WorkerLost")
    assert told["expired"] == ("ttl", None)
    assert told["canceled"] == ("user", None)
    assert told["delayed"] == ("delay", None)
    assert told["waiting"] == ("timer", None)
    assert told["paused"] == ("operator", None)


async def test_only_a_run_that_was_retried_is_dead_lettered(shown: Shown):
    for word, run_id in shown.runs.items():
        run = await shown.api.run(run_id)
        assert (run["dead_lettered_at"] is not None) == (word == "dead_letter")
        assert (run["failed_at"] is not None) == (run["state"] in ("failed", "expired"))
        assert (run["completed_at"] is not None) == (run["state"] == "completed")
        assert (run["finished_at"] is not None) == (run["state"] in ("completed", "failed", "cancelled", "expired"))


async def test_a_run_that_waits_for_its_next_attempt_reads_queued_with_next_retry_at(shown: Shown):
    job = await shown.api.job("stumble", max_attempts=2)
    run = await shown.api.trigger(job, {"how": "later", "after_s": 600})
    await shown.api.until(run["id"], "run.retrying")
    waiting = await shown.api.run(run["id"])
    assert (waiting["status"], waiting["state"], waiting["reason"]) == ("queued", "scheduled", "retry")
    assert later(waiting["created_at"], seconds=590) < later(waiting["next_retry_at"])
    assert run["id"] in [each["id"] for each in await shown.api.runs(status="queued")]
    await shown.api.client.delete(f"/v1/runs/{run['id']}")
