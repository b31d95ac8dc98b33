"""A server that stands still for longer than its leases and wakes up: no late effect, no two live leases at once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright.clock import SystemClock
from tests.acceptance.gate import Gate, opened_gate
from tests.acceptance.handlers import lines
from tests.acceptance.ledger import audit, ledger, leftovers
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Speech
from tests.faults.executions import judge

pytestmark = [pytest.mark.xdist_group("faults-frozen"), pytest.mark.slow]

LEASE_S = 0.8
FREEZES = 20
FROZEN: dict[str, Any] = {"lease_s": LEASE_S, "heartbeat_s": LEASE_S / 3, "reaper_s": 0.05, "drain_s": 20}


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with opened_gate() as made:
        yield made


async def freeze(live: LiveServer) -> None:
    """Stop the process for two leases, and let it go on."""
    live.process.send_signal(signal.SIGSTOP)
    try:
        await SystemClock().sleep(2 * LEASE_S)
    finally:
        live.process.send_signal(signal.SIGCONT)


async def overtaken(live: LiveServer, api: Speech, gate: Gate, books: Path) -> str:
    """Start a run, and freeze its server until another lease has overtaken the first; return its id."""
    run = await api.trigger(await api.job("labour", max_attempts=20), {"gate": gate.port, "file": str(books)})
    await gate.arrived(word="1")
    for _ in range(FREEZES):
        await freeze(live)
        if (await api.run(run["id"]))["lease_epoch"] > 1:
            break
    await gate.arrived(2)  # the thread of the first lease, and that of the one which is live
    return str(run["id"])


async def test_what_a_thawed_server_s_lost_attempts_still_do_has_no_effect(tmp_path: Path, gate: Gate):
    live, books = LiveServer(tmp_path, worker="tests.faults.labour:app", **FROZEN), tmp_path / "books"
    await live.start()
    api = Speech(live.client())
    run_id = await overtaken(live, api, gate, books)
    gate.open("1")
    await api.until(run_id, "output.saved", 2)
    gate.open()
    run = await api.ended(run_id)
    assert (run["status"], run["result"]) == ("completed", {"epoch": run["lease_epoch"]})
    await api.client.aclose()
    await live.stop()
    entries = await ledger(live.database)
    audit(entries)
    assert await leftovers(live.database) == []
    assert judge(entries, books) == []
    assert ["woke", run_id, "1"] in lines(books), "the thread of the lost attempt went on"
    assert ["kept", run_id, "1", "1-after"] not in lines(books), "and was refused"


async def test_the_judge_sees_a_server_without_fences(tmp_path: Path, gate: Gate):
    live, books = LiveServer(tmp_path, worker="tests.faults.unfenced:app", **FROZEN), tmp_path / "books"
    await live.start()
    api = Speech(live.client())
    run_id = await overtaken(live, api, gate, books)
    gate.open("1")
    await api.until(run_id, "output.saved", 3)
    gate.open()
    await api.stream(run_id)
    await api.client.aclose()
    await live.kill()
    entries = await ledger(live.database)
    assert any("is the work of lease 1, late" in fault for fault in judge(entries, books))
