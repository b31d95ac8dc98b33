"""Workers elsewhere killed, frozen and cut off: their runs execute elsewhere, what they do late has no effect."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.gate import Gate, opened_gate
from tests.acceptance.handlers import lines
from tests.acceptance.ledger import Entry, audit, ledger, leftovers
from tests.acceptance.live_server import LiveServer
from tests.acceptance.live_worker import LiveWorker
from tests.acceptance.speech import Json, Speech, said
from tests.faults.executions import judge
from tests.faults.proxy import Line, Proxy
from tests.waiting import until

pytestmark = [pytest.mark.xdist_group("faults-workers"), pytest.mark.slow]

LEASE_S = 1.5
SHORT: dict[str, Any] = {"lease_s": LEASE_S, "heartbeat_s": LEASE_S / 3, "reaper_s": 0.25}
PATIENCE_S = 60.0
LONG: dict[str, Any] = {"lease_s": 2 * PATIENCE_S, "heartbeat_s": 0.5}
LABOURERS = "tests.faults.labour:app"


class Scene:
    """A server that executes nothing itself, and workers elsewhere; every run notes in `books` what it does."""

    def __init__(self, directory: Path, gate: Gate, worker: str | None = None, **settings: Any) -> None:
        self.live = LiveServer(directory, worker=worker, **settings)
        self.books = directory / "books"
        self.api: Speech
        self._directory = directory
        self._gate = gate
        self._jobs: dict[str, str] = {}
        self._workers: list[LiveWorker] = []

    async def start(self) -> Scene:
        await self.live.start()
        self.api = Speech(self.live.client())
        return self

    async def worker(self, url: str | None = None, *, slots: int = 10, **more: Any) -> LiveWorker:
        directory = self._directory / f"worker-{len(self._workers)}"
        directory.mkdir()
        options = ("--no-register", "--slots", str(slots))
        live = LiveWorker(url or self.live.url, directory, *options, **{"handlers": LABOURERS, **more})
        self._workers.append(live)
        return await live.start()

    async def run(self, handler: str, word: str | None = None, **payload: Any) -> str:
        if handler not in self._jobs:
            self._jobs[handler] = await self.api.job(handler, max_attempts=20)
        given = {"file": str(self.books), "gate": self._gate.port, **payload}
        if word is not None:
            given["word"] = word
        return str((await self.api.trigger(self._jobs[handler], given))["id"])

    async def runs(self, handler: str, count: int, word: str | None = None, **payload: Any) -> list[str]:
        return [await self.run(handler, word, **payload) for _ in range(count)]

    async def overtaken(self, run_ids: list[str]) -> bool:
        """Wait for the ends of runs, and tell whether each is the work of a later lease than the first.

        Mostly of the second; on a machine that stands still for longer than a lease, that is lost, too.
        """
        return all(run["result"]["epoch"] > 1 for run in await self.ended(run_ids))

    async def ended(self, run_ids: list[str]) -> list[Json]:
        return [await self.api.ended(run_id) for run_id in run_ids]

    async def done_by(self, worker: LiveWorker, handler: str, gate: Gate, word: str) -> None:
        """See that a worker takes a new run and completes it."""
        gate.open(word)
        run_id = await self.run(handler, word)
        assert (await self.api.ended(run_id))["status"] == "completed"
        attempts = await self.api.listed(f"/v1/runs/{run_id}/attempts")
        assert attempts[-1]["worker_id"] == worker.worker_id

    async def close(self) -> None:
        """Kill the workers, and stop the server if it runs."""
        for worker in self._workers:
            await worker.kill()
        await self.live.close()

    async def entries(self) -> dict[str, Entry]:
        """Close, and return what the server has stored."""
        await self.close()
        return await ledger(self.live.database)

    async def judged(self) -> None:
        """See that every run's log and books tell of one live lease at a time, and that nothing is left over."""
        entries = await self.entries()
        audit(entries)
        assert {entry.run.state for entry in entries.values()} == {"completed"}
        assert await leftovers(self.live.database) == []
        assert judge(entries, self.books) == []

    def epochs(self, what: str, run_id: str) -> list[int]:
        """Return the leases under which a run noted this, in order."""
        return [int(words[2]) for words in lines(self.books) if words[:2] == [what, run_id]]


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with opened_gate() as made:
        yield made


@pytest.fixture
async def scene(tmp_path: Path, gate: Gate) -> AsyncIterator[Scene]:
    made = await Scene(tmp_path, gate, **SHORT).start()
    yield made
    await made.close()


@pytest.fixture
async def patient(tmp_path: Path, gate: Gate) -> AsyncIterator[Scene]:
    """Return a scene whose leases outlast a test: whatever is done again was not to be."""
    made = await Scene(tmp_path, gate, **LONG).start()
    yield made
    await made.close()


async def test_the_runs_of_a_killed_worker_complete_elsewhere_and_no_finished_one_is_repeated(scene: Scene, gate: Gate):
    first = await scene.worker()
    gate.open("early")
    early = await scene.runs("labour", 3, "early")
    await scene.ended(early)
    held = [*await scene.runs("labour", 3), *await scene.runs("toil", 3)]
    await gate.arrived(6, "1")
    await scene.worker()
    await first.kill()
    await gate.arrived(6, "2")
    gate.open()
    assert await scene.overtaken(held)
    await scene.judged()
    assert [scene.epochs("begin", run_id) for run_id in early] == [[1]] * 3
    assert all(scene.epochs("end", run_id) for run_id in held)  # perhaps twice: see `overtaken`


async def test_what_a_frozen_worker_does_as_it_thaws_has_no_effect_and_it_works_on(scene: Scene, gate: Gate):
    first = await scene.worker(slots=4)
    held = [*await scene.runs("labour", 2), *await scene.runs("toil", 2)]
    await gate.arrived(4, "1")
    await scene.worker(slots=4)
    first.send(signal.SIGSTOP)
    await gate.arrived(4, "2")
    gate.open("1")  # its handlers wake with it
    first.send(signal.SIGCONT)
    await scene.done_by(first, "labour", gate, "again")  # the second worker is full
    gate.open()
    assert await scene.overtaken(held)
    await scene.judged()
    assert scene.epochs("woke", held[0])[0] == 1, "the thread of the lost attempt went on"


def blackhole(proxy: Proxy) -> None:
    proxy.accepting = "silent"
    proxy.freeze()


def half_open(proxy: Proxy) -> None:
    proxy.down.silent = True


def resets(proxy: Proxy) -> None:
    proxy.accepting = "reset"
    proxy.reset()


@pytest.mark.parametrize("cut", [blackhole, half_open, resets])
async def test_a_worker_that_is_cut_off_gives_up_within_its_lease_and_claims_again(scene: Scene, gate: Gate, cut: Any):
    async with Proxy.to(scene.live.port) as proxy:
        first = await scene.worker(proxy.url, slots=4)
        held = [*await scene.runs("labour", 2), *await scene.runs("toil", 2)]
        await gate.arrived(4, "1")
        await scene.worker(slots=4)
        cut(proxy)
        await gate.arrived(4, "2")
        proxy.heal()
        gate.open("1")
        await scene.done_by(first, "labour", gate, "again")
        gate.open()
        assert await scene.overtaken(held)
    await scene.judged()
    words = [tuple(each[:3]) for each in lines(scene.books)]
    for run_id in held[2:]:
        assert words.index(("left", run_id, "1")) < words.index(("begin", run_id, "2")), "it left before the next began"


async def test_a_finish_that_arrives_after_the_lease_is_refused(scene: Scene, gate: Gate):
    async with Proxy.to(scene.live.port) as proxy:
        await scene.worker(proxy.url, slots=4)
        held = [*await scene.runs("labour", 2), *await scene.runs("toil", 2)]
        await gate.arrived(4, "1")
        await scene.worker(slots=4)
        passed = proxy.up.passed
        proxy.up.latency_s = 2 * LEASE_S
        gate.open("1")
        await gate.arrived(4, "2")
        await until(lambda: proxy.up.passed > passed)
        proxy.heal()
        gate.open()
        assert await scene.overtaken(held)
    await scene.judged()


CUTS = 8
"""Connections that must have been cut before the lost answers have been enough."""
CUT_BYTES = 20_000
"""Within so many bytes of answers one is cut: some are whole, even those that bring many runs."""


async def another(line: Line) -> None:
    """Return when there is one more cut."""
    cuts = line.cuts
    await until(lambda: line.cuts > cuts)


async def test_lost_answers_lose_nothing_and_double_nothing(patient: Scene, gate: Gate):
    chance = random.Random(3)
    async with Proxy.to(patient.live.port) as proxy:
        await patient.worker(proxy.url, slots=5)
        gate.open()

        async def cutting() -> None:
            """Cut anew behind each cut: a worker with other connections opens none in place of one that was lost."""
            while True:
                proxy.down.cut_after(chance.randrange(CUT_BYTES))
                await another(proxy.down)

        trouble = asyncio.create_task(cutting())
        try:
            async with asyncio.timeout(PATIENCE_S):
                runs = []
                while proxy.down.cuts < CUTS:
                    batch = [await patient.run("toil", "1", outputs=30) for _ in range(10)]
                    runs += await patient.ended(batch)
        finally:
            trouble.cancel()
        for run in runs:
            assert (run["status"], run["attempt"], run["result"]) == ("completed", 1, {"epoch": 1})
        for run_id in [run["id"] for run in runs]:
            events = await patient.api.events(run_id)
            told = [event["message"] for event in events if event["type"] == "log"]
            assert told == [f"line {place}" for place in range(30)]
    await patient.judged()


async def test_workers_outlive_a_killed_server_and_finish_what_they_hold(patient: Scene, gate: Gate):
    workers = [await patient.worker(), await patient.worker()]
    held = [*await patient.runs("labour", 4), *await patient.runs("toil", 4)]
    await gate.arrived(8, "1")
    await patient.live.kill()
    gate.open("1")
    await gate.left()  # they end while nobody is there to hear of it
    await patient.live.start()
    assert {run["result"]["epoch"] for run in await patient.ended(held)} == {1}
    gate.open()
    assert {run["status"] for run in await patient.ended(await patient.runs("toil", 4))} == {"completed"}
    for worker in workers:
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0
    await patient.judged()
    assert [patient.epochs("begin", run_id) for run_id in held] == [[1]] * 8


async def test_the_judge_sees_a_worker_and_a_server_without_fences(tmp_path: Path, gate: Gate):
    scene = await Scene(tmp_path, gate, "tests.faults.unfenced_fleet:idle", **SHORT).start()
    first = await scene.worker(handlers="tests.faults.unfenced_fleet:app")
    run_id = await scene.run("labour")
    await gate.arrived(1, "1")
    await scene.worker()
    first.send(signal.SIGSTOP)
    await gate.arrived(1, "2")
    gate.open("1")
    first.send(signal.SIGCONT)
    await scene.api.until(run_id, "output.saved", 3)
    gate.open()
    await scene.api.stream(run_id)
    await scene.live.kill()
    await scene.close()
    entries = await ledger(scene.live.database)
    assert any("is the work of lease 1, late" in fault for fault in judge(entries, scene.books))


async def test_a_worker_whose_key_is_revoked_ends_at_once_and_says_why(scene: Scene, gate: Gate):
    made = await scene.api.key("workers:connect")
    worker = await scene.worker(key=made["token"])
    await scene.run("labour")
    await gate.arrived(1, "1")  # its thread does not hold the process
    await said(scene.api.client.delete(f"/v1/keys/{made['id']}"))
    assert await worker.ended() == 1
    told = worker.log.read_text()
    assert "[auth." in told
    assert "Traceback" not in told
    await scene.worker()
    gate.open()
    await gate.left()


async def test_a_worker_waits_for_a_server_that_is_not_there_yet(tmp_path: Path, gate: Gate):
    scene = await Scene(tmp_path, gate, **LONG).start()
    await scene.live.stop()
    starting = asyncio.create_task(LiveWorker(scene.live.url, tmp_path, handlers=LABOURERS).start())
    log = tmp_path / "worker.log"
    await until(lambda: log.exists() and "cannot register" in log.read_text())
    await scene.live.start()
    worker = await starting
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    await scene.close()
