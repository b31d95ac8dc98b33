"""Workers elsewhere: the same handlers, the same events and results; stops, drains, and what is refused."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright import ids
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import MORTAL, LiveServer
from tests.acceptance.live_worker import LiveWorker
from tests.acceptance.speech import Json, Speech, refused, said, unique
from tests.engine.databases import Database

pytestmark = [pytest.mark.xdist_group("acceptance-workers"), pytest.mark.slow]


@pytest.fixture(scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory, module_database: Database) -> AsyncIterator[LiveServer]:
    """Serve without handlers of the server's own."""
    live = LiveServer(tmp_path_factory.mktemp("bare"), module_database, worker=None, stream_keepalive_s=0.2)
    await live.start()
    yield live
    await live.close()


@pytest.fixture
def elsewhere(bare: LiveServer) -> Speech:
    """Return the administrator's way to talk to that server."""
    return Speech(bare.client())


@pytest.fixture(scope="module")
async def worker(bare: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveWorker]:
    """Work for that server in a process elsewhere."""
    queues = ("--queue", "default", "--queue", "to-pause")
    live = LiveWorker(bare.url, tmp_path_factory.mktemp("worker"), "--slots", "20", *queues)
    yield await live.start()
    await live.kill()


def told(events: list[Json]) -> list[tuple[str, str]]:
    """Return what events say, whoever executed the run and however their flushes fell together."""
    ours = [(event["type"], event["message"]) for event in events if event["type"] != "stream.chunk"]
    return sorted(ours)


@pytest.mark.parametrize(
    ("handler", "payload", "options"),
    [
        ("echo", {"a": [1, {"b": None}]}, {}),
        ("works", {}, {"max_attempts": 2}),
        ("stumble", {"times": 1}, {"max_attempts": 2}),
        ("stumble", {"how": "error"}, {"max_attempts": 1}),
        ("nap", {"secs": 0.2}, {}),
        ("keeps", {}, {"max_attempts": 2}),
    ],
)
async def test_a_run_is_the_same_in_the_server_and_elsewhere(
    api: Speech, elsewhere: Speech, worker: LiveWorker, handler: str, payload: Json, options: dict[str, Any]
):
    here = await api.done(await api.job(handler, **options), payload)
    there = await elsewhere.done(await elsewhere.job(handler, **options), payload)
    same = ("status", "state", "reason", "attempt", "result", "error_class", "dead_lettered_at")
    assert {name: here[name] is None if name.endswith("_at") else here[name] for name in same} == {
        name: there[name] is None if name.endswith("_at") else there[name] for name in same
    }
    assert told(await elsewhere.events(there["id"])) == told(await api.events(here["id"]))
    attempts = await elsewhere.listed(f"/v1/runs/{there['id']}/attempts")
    assert {attempt["worker_id"] for attempt in attempts} == {worker.worker_id}


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_handler_waits_spawns_goes_on_and_remembers_here_and_elsewhere(
    api: Speech, elsewhere: Speech, worker: LiveWorker, where: str
):
    speech = {"here": api, "there": elsewhere}[where]
    job, child, event = await speech.job("relates"), unique("child"), unique("event")
    await said(speech.client.post("/v1/jobs", json={"slug": child, "handler": "echo"}), 201)
    run = await speech.trigger(job, {"child": child, "event": event})
    await speech.until(run["id"], "run.waiting", count=2)
    await said(speech.client.post(f"/v1/events/{event}/send", json={"payload": {"paid": True}}))
    ended = await speech.ended(run["id"])
    assert (ended["status"], ended["attempt"]) == ("completed", 1)
    children = await speech.listed(f"/v1/runs/{run['id']}/children")
    assert [each["id"] for each in children] == [ended["result"]["child"], ended["result"]["loose"]], "made once each"
    onward = await speech.ended(ended["result"]["onward"])
    assert (onward["continuation_of"], onward["triggered_by"]) == (run["id"], "spawn")
    assert onward["result"] == {"remembered": {"child": {"n": 1}, "event": {"paid": True}}}
    (kept,) = await speech.listed(f"/v1/jobs/{job}/memory")
    assert (kept["memory_key"], kept["run_id"]) == ("last", run["id"])
    await said(speech.client.delete(f"/v1/jobs/{job}/memory/last"), 204)
    assert await speech.listed(f"/v1/jobs/{job}/memory") == []
    threaded = await speech.done(await speech.job("relates-too"), {"again": True})
    last = await speech.ended(threaded["result"]["onward"])
    assert last["result"] == {"remembered": {"again": False}, "onward": None}


async def test_a_cancel_reaches_a_worker_at_once_and_is_confirmed(elsewhere: Speech, worker: LiveWorker, gate: Gate):
    run = await elsewhere.trigger(await elsewhere.job("hold"), {"gate": gate.port})
    await gate.arrived()
    cancelled = await said(elsewhere.client.delete(f"/v1/runs/{run['id']}"))
    assert cancelled["status"] == "canceled"
    assert (await elsewhere.events(run["id"]))[-1]["data"]["confirmed"] is True
    await gate.left()


async def test_a_full_worker_hears_of_a_stop_too(bare: LiveServer, elsewhere: Speech, gate: Gate, tmp_path: Path):
    queue = unique("full")
    live = await LiveWorker(bare.url, tmp_path, "--slots", "1", "--queue", queue).start()
    run = await elsewhere.trigger(await elsewhere.job("hold", queue=queue), {"gate": gate.port})
    await gate.arrived()
    assert (await said(elsewhere.client.delete(f"/v1/runs/{run['id']}")))["status"] == "canceled"
    await live.kill()


async def test_sigterm_drains_a_worker_and_hands_its_runs_back(
    bare: LiveServer, elsewhere: Speech, gate: Gate, tmp_path: Path
):
    queue = unique("drained")
    live = await LiveWorker(bare.url, tmp_path, "--drain-secs", "0", "--queue", queue).start()
    run = await elsewhere.trigger(await elsewhere.job("hold", queue=queue, max_attempts=1), {"gate": gate.port})
    await gate.arrived()
    live.send(signal.SIGTERM)
    assert await live.ended() == 0
    returned = await elsewhere.run(run["id"])
    assert (returned["state"], returned["attempt"]) == ("queued", 1)
    shown = await said(elsewhere.client.get(f"/v1/workers/{live.worker_id}"))
    assert (shown["status"], shown["busy"]) == ("gone", 0)
    await said(elsewhere.client.delete(f"/v1/runs/{run['id']}"))


async def test_an_operator_drains_a_worker(bare: LiveServer, elsewhere: Speech, gate: Gate, tmp_path: Path):
    queue = unique("operated")
    live = await LiveWorker(bare.url, tmp_path, "--queue", queue).start()
    job = await elsewhere.job("hold", queue=queue)
    run = await elsewhere.trigger(job, {"gate": gate.port})
    await gate.arrived()
    asked = await said(elsewhere.client.post(f"/v1/workers/{live.worker_id}/drain"))
    assert (asked["status"], asked["busy"]) == ("draining", 1)
    late = await elsewhere.trigger(job, {"gate": gate.port})
    gate.open()
    assert await live.ended() == 0
    assert (await elsewhere.run(run["id"]))["status"] == "completed"
    assert (await elsewhere.run(late["id"]))["status"] == "queued"
    await said(elsewhere.client.delete(f"/v1/runs/{late['id']}"))


async def test_a_worker_takes_from_the_queues_that_it_names_and_its_handlers_only(
    bare: LiveServer, elsewhere: Speech, tmp_path: Path
):
    mine, other = unique("mine"), unique("other")
    live = await LiveWorker(bare.url, tmp_path, "--queue", mine).start()
    waits = await elsewhere.trigger(await elsewhere.job("echo", queue=other))
    unknown = await elsewhere.trigger(await elsewhere.job("nobody-has-it", queue=mine))
    done = await elsewhere.done(await elsewhere.job("echo", queue=mine))
    assert done["status"] == "completed"
    assert [(await elsewhere.run(run["id"]))["status"] for run in (waits, unknown)] == ["queued", "queued"]
    await live.kill()


async def test_nobody_takes_from_a_paused_queue(elsewhere: Speech, worker: LiveWorker):
    queue = "to-pause"
    job = await elsewhere.job("echo", queue=queue)
    paused = await said(elsewhere.client.post(f"/v1/queues/{queue}/pause"))
    assert (paused["name"], paused["paused"], paused["paused_by"] is not None) == (queue, True, True)
    run = await elsewhere.trigger(job)
    shown = [each for each in await said(elsewhere.client.get("/v1/queues")) if each["name"] == queue]
    assert [(each["ready"], each["paused"]) for each in shown] == [(1, True)]
    assert (await elsewhere.run(run["id"]))["status"] == "queued"
    assert (await said(elsewhere.client.post(f"/v1/queues/{queue}/resume")))["paused"] is False
    assert (await elsewhere.ended(run["id"]))["status"] == "completed"


# --- the protocol -----------------------------------------------------------------------------------------------------


def introduction(handler: str, queue: str, **more: Any) -> Json:
    """Return the claim of a worker that speaks by hand."""
    said_of_itself = {"worker_id": ids.new_id("wrk", 1), "jobs": [handler], "queues": [queue], "slots": 5, "free": 5}
    return {**said_of_itself, **more}


async def claimed(api: Speech, **more: Any) -> tuple[str, Json]:
    """Make a run, claim it by hand, and return the worker's id and the assignment."""
    queue = unique("hand")
    await api.trigger(await api.job("by-hand", queue=queue, max_attempts=2, **more), {"n": 1})
    claim = introduction("by-hand", queue)
    answer = await said(api.client.post("/v1/worker/claim", json=claim))
    return claim["worker_id"], answer["assignments"][0]


def item(given: Json, **more: Any) -> Json:
    return {"run_id": given["run_id"], "lease_epoch": given["lease_epoch"], **more}


async def post(api: Speech, what: str, worker_id: str, *items: Json) -> list[Json]:
    body = {"worker_id": worker_id, "items": list(items)}
    results: list[Json] = (await said(api.client.post(f"/v1/worker/{what}", json=body)))["results"]
    return results


LINE = {"events": [{"type": "log", "data": {"n": 1}, "message": "a line"}]}


async def test_a_claim_waits_for_work_and_is_answered_when_there_is_some(elsewhere: Speech):
    queue = unique("late")
    job = await elsewhere.job("by-hand", queue=queue)
    claim = introduction("by-hand", queue, wait_secs=20)
    waiting = asyncio.create_task(said(elsewhere.client.post("/v1/worker/claim", json=claim)))
    run = await elsewhere.trigger(job, {"n": 7})
    answer = await waiting
    (given,) = answer["assignments"]
    assert (given["run_id"], given["payload"], given["attempt"], given["lease_epoch"]) == (run["id"], {"n": 7}, 1, 1)
    assert given["run_token"].startswith("rwt_")
    assert (answer["drain"], answer["lease_secs"]) == (False, 30.0)


async def test_a_run_whose_assignment_was_lost_on_the_way_is_given_again(elsewhere: Speech):
    queue = unique("lost")
    await elsewhere.trigger(await elsewhere.job("by-hand", queue=queue))
    claim = introduction("by-hand", queue)
    first = (await said(elsewhere.client.post("/v1/worker/claim", json=claim)))["assignments"]
    assert (await said(elsewhere.client.post("/v1/worker/claim", json=claim)))["assignments"] == []
    again = (await said(elsewhere.client.post("/v1/worker/claim", json={**claim, "recover": True})))["assignments"]
    assert again == first
    knows = {**claim, "recover": True, "running": [first[0]["run_id"]]}
    assert (await said(elsewhere.client.post("/v1/worker/claim", json=knows)))["assignments"] == []


async def test_what_is_sent_twice_is_stored_once(elsewhere: Speech):
    worker_id, given = await claimed(elsewhere)
    one = item(given, number=1, savings=[LINE])
    for _ in range(3):
        assert (await post(elsewhere, "append", worker_id, one))[0]["code"] is None
    await post(elsewhere, "append", worker_id, item(given, number=2, savings=[LINE, LINE]))
    await post(elsewhere, "finish", worker_id, item(given, outcome={"status": "completed", "result": {"ok": 1}}))
    events = await elsewhere.events(given["run_id"])
    assert [event["type"] for event in events].count("log") == 3


async def test_what_was_stored_before_a_crash_is_not_stored_again_after_it(tmp_path: Path, database: Database):
    own_server = LiveServer(tmp_path, database, **MORTAL | {"lease_s": 60})  # however long it takes to come back
    await own_server.start()
    api = Speech(own_server.client())
    worker_id, given = await claimed(api)
    one = item(given, number=1, savings=[LINE])
    await post(api, "append", worker_id, one)
    await own_server.kill()
    await own_server.start()
    again = Speech(own_server.client())
    assert (await post(again, "append", worker_id, one))[0]["code"] is None
    assert (await post(again, "append", worker_id, item(given, number=2, savings=[LINE])))[0]["code"] is None
    types = [event["type"] for event in await again.events(given["run_id"])]
    assert types.count("log") == 2
    await own_server.close()


async def test_values_are_kept_for_the_next_attempt(elsewhere: Speech):
    worker_id, given = await claimed(elsewhere)
    kept = {"values": [{"kind": "state", "key": key, "data": {"page": key}} for key in ("a", "b")]}
    kept["events"] = [{"type": "state.set", "data": {"state_key": "b"}}]
    forgotten = {"removed": [{"kind": "state", "key": "a"}], "events": [], "annotations": {"phase": "two"}}
    await post(elsewhere, "append", worker_id, item(given, number=1, savings=[kept, forgotten]))
    body = {"worker_id": worker_id, "kind": "state", **item(given)}
    found = await said(elsewhere.client.post("/v1/worker/kept", json=body))
    assert found == {"values": {"b": {"page": "b"}}, "next": None}
    assert (await elsewhere.run(given["run_id"]))["metadata"] == {"phase": "two"}
    told_of = [event for event in await elsewhere.events(given["run_id"]) if event["type"] == "state.set"]
    assert told_of[0]["data"]["value"]["preview"] == '{"page":"b"}'


async def test_a_worker_that_lies_about_its_lease_changes_nothing(elsewhere: Speech):
    worker_id, given = await claimed(elsewhere)
    other = ids.new_id("wrk", 2)
    before = await elsewhere.events(given["run_id"])
    done = {"outcome": {"status": "completed", "result": {"stolen": True}}}
    for liar, lie in ((worker_id, {"lease_epoch": 2}), (other, {})):
        results = await post(elsewhere, "append", liar, item(given, number=1, savings=[LINE]) | lie)
        results += await post(elsewhere, "finish", liar, item(given, **done) | lie)
        assert {result["code"] for result in results} == {"runs.stale_lease"}
    assert await elsewhere.events(given["run_id"]) == before
    lost = await said(
        elsewhere.client.post(
            "/v1/worker/heartbeat", json={"worker_id": worker_id, "runs": [item(given) | {"lease_epoch": 9}]}
        )
    )
    assert lost["lost"] == [given["run_id"]]


async def test_a_worker_of_another_organization_sees_and_takes_nothing(bare: LiveServer, elsewhere: Speech):
    queue = unique("ours")
    run = await elsewhere.trigger(await elsewhere.job("by-hand", queue=queue))
    made = await said(elsewhere.client.post("/v1/organizations", json={"slug": unique("others")}), 201)
    stranger = Speech(bare.client(made["token"]))
    claim = introduction("by-hand", queue)
    assert (await said(stranger.client.post("/v1/worker/claim", json=claim)))["assignments"] == []
    mine = introduction("by-hand", queue)
    (given,) = (await said(elsewhere.client.post("/v1/worker/claim", json=mine)))["assignments"]
    assert given["run_id"] == run["id"]
    results = await post(stranger, "append", mine["worker_id"], item(given, number=1, savings=[LINE]))
    assert results[0]["code"] == "runs.not_found"
    for path in (f"/v1/workers/{mine['worker_id']}",):
        await refused(stranger.client.get(path), 404, "workers.not_found")
        await refused(stranger.client.post(f"{path}/drain"), 404, "workers.not_found")
    assert await said(stranger.client.get("/v1/queues")) == []
    taken = await stranger.client.post("/v1/worker/claim", json={**mine, "free": 0})
    assert (taken.status_code, taken.json()["code"]) == (409, "workers.id_taken")


async def test_a_worker_of_another_protocol_is_told_what_to_do(elsewhere: Speech):
    claim = introduction("by-hand", "default", protocol=2)
    answer = await elsewhere.client.post("/v1/worker/claim", json=claim)
    assert (answer.status_code, answer.json()["code"]) == (409, "workers.protocol")
    assert "upgrade the server" in answer.json()["error"]
    skewed = introduction("by-hand", "default", sdk="runwright-python/0.0.1")
    assert "0.0.1" in (await said(elsewhere.client.post("/v1/worker/claim", json=skewed)))["notice"]


async def test_a_result_that_cannot_be_kept_ends_the_run_and_says_so(elsewhere: Speech):
    worker_id, given = await claimed(elsewhere)
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    await post(elsewhere, "finish", worker_id, item(given, outcome={"status": "completed", "result": deep}))
    run = await elsewhere.run(given["run_id"])
    assert (run["status"], run["reason"], run["error_class"]) == ("dead_letter", "rejected", "InvalidRequest")


async def test_an_event_that_no_job_may_write_is_refused_alone(elsewhere: Speech):
    worker_id, given = await claimed(elsewhere)
    other_id, other = await claimed(elsewhere)
    forged = {"events": [{"type": "run.completed", "data": {}}]}
    (result,) = await post(elsewhere, "append", worker_id, item(given, number=1, savings=[forged]))
    assert result["code"] == "events.type"
    assert (await post(elsewhere, "append", other_id, item(other, number=1, savings=[LINE])))[0]["code"] is None
