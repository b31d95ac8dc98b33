"""SIGTERM: streams say when to come back, attempts finish or are handed over, and nothing counts against a run."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.frames import event_bytes, events, seqs
from tests.acceptance.gate import Gate
from tests.acceptance.handlers import lines
from tests.acceptance.ledger import audit, ledger, leftovers
from tests.acceptance.live_server import PATIENCE_S, LiveServer
from tests.acceptance.speech import SSE, Speech, later, said
from tests.engine.databases import Database

pytestmark = [pytest.mark.xdist_group("acceptance-shutdown"), pytest.mark.slow]


@pytest.fixture
async def live(tmp_path: Path, database: Database) -> AsyncIterator[LiveServer]:
    server = LiveServer(tmp_path, database, drain_s=2)
    await server.start()
    yield server
    await server.close()


async def watched(api: Speech, run_id: str, seen: asyncio.Event) -> bytes:
    """Return all bytes of a run's stream; tell when the end of a step is among them."""
    raw = b""
    async with api.client.stream("GET", f"/v1/runs/{run_id}/stream", headers=SSE) as response:
        async for part in response.aiter_raw():
            raw += part
            if any(event["type"] == "step.completed" for event in events(raw)):
                seen.set()
    return raw


async def test_a_stopped_server_lets_runs_finish_hands_over_the_rest_and_counts_nothing(
    live: LiveServer, gate: Gate, notes: Path
):
    api = Speech(live.client())
    job = await api.job("journal", max_attempts=1)
    quick = [await api.trigger(job, {"file": str(notes), "gate": gate.port, "word": "quick"}) for _ in range(10)]
    slow = [await api.trigger(job, {"file": str(notes), "gate": gate.port, "word": "slow"}) for _ in range(10)]
    stuck = await api.trigger(await api.job("deaf"), {"gate": gate.port, "word": "stuck"})
    paused = await api.trigger(await api.job("hold"), {"gate": gate.port, "word": "paused"})
    asleep = await api.trigger(await api.job("nap"), {"secs": 2})
    delayed = await api.trigger(await api.job("echo"), scheduled_at=later(paused["created_at"], hours=1))
    await gate.arrived(22)
    assert (await api.verb(paused["id"], "pause"))["status"] == "paused"
    await api.until(asleep["id"], "run.waiting")
    seen = asyncio.Event()
    watching = asyncio.create_task(watched(api, slow[0]["id"], seen))
    await asyncio.wait_for(seen.wait(), PATIENCE_S)

    live.process.send_signal(signal.SIGTERM)
    told = await watching
    assert told.endswith(b"retry: 200\n\n"), "the stream ends and says when to come back"
    assert seqs(events(told)) == list(range(1, len(events(told)) + 1))
    gate.open("quick")
    out = await live.ended(0)
    assert out == "", "ready is all that is ever printed"
    await gate.left()

    entries = await ledger(live.database)
    audit(entries)
    assert {entries[run["id"]].run.state for run in quick} == {"completed"}
    for run in (*slow, stuck):
        entry = entries[run["id"]]
        assert (entry.run.state, entry.events[-1].type) == ("queued", "run.queued")
        assert b'"handover"' in (entry.events[-1].data or b"")

    gate.open()
    await live.start()
    api = Speech(live.client())
    assert (await api.run(paused["id"]))["status"] == "paused"
    assert (await api.run(delayed["id"]))["status"] == "delayed"
    await api.verb(paused["id"], "resume")
    for run in (*quick, *slow, stuck, paused, asleep):
        ended = await api.ended(run["id"])
        assert (ended["status"], ended["attempt"]) == ("completed", 1), "a hand-over is no attempt"
    rest = await api.stream(slow[0]["id"], last=events(told)[-1]["seq"])
    assert event_bytes(told) + rest == await api.stream(slow[0]["id"])
    handed = await api.listed(f"/v1/runs/{slow[0]['id']}/attempts")
    assert [(each["attempt"], each["lease_epoch"], each["outcome"]) for each in handed] == [
        (1, 1, "released"),
        (1, 2, "completed"),
    ]
    done = [words[1] for words in lines(notes) if words[0] == "end"]
    assert sorted(done) == sorted(run["id"] for run in (*quick, *slow)), "each came to its end once"
    await said(api.client.delete(f"/v1/runs/{delayed['id']}"))
    await live.stop()
    audit(await ledger(live.database))
    assert await leftovers(live.database) == []


async def test_a_draining_server_shuts_its_door_says_so_and_ends_by_any_signal(live: LiveServer, gate: Gate):
    api = Speech(live.client())
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    await gate.arrived()
    assert (await api.client.get("/readyz")).json()["status"] == "ready"
    async with api.client.stream("GET", f"/v1/runs/{run['id']}/stream", headers=SSE) as response:
        live.process.send_signal(signal.SIGINT)
        assert (await response.aread()).endswith(b"retry: 200\n\n")
    answers = []
    with contextlib.suppress(httpx2.TransportError):
        while True:  # until the door is shut
            answers.append(httpx2.get(f"{live.url}/readyz"))
    assert {(answer.status_code, answer.json()["checks"]["drain"]) for answer in answers} <= {(503, "draining")}
    while live.process.returncode is None:  # whoever is impatient cuts nothing short
        with contextlib.suppress(ProcessLookupError):  # it has ended, and nobody has heard of it yet
            live.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(live.process.wait(), 0.05)
    await live.ended(0)
    entry = (await ledger(live.database))[run["id"]]
    assert (entry.run.state, entry.run.tally.ended) == ("queued", 0)
