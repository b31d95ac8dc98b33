"""A server is killed with 200 runs in flight: none is lost, none that had finished repeats, all end."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from runwright.clock import FrozenClock
from tests.engine.crash_server import RUNS, SLOTS
from tests.engine.world import World


def executions(directory: Path) -> dict[str, Counter[str]]:
    """Return what was noted: word → how often for each run."""
    found: dict[str, Counter[str]] = {word: Counter() for word in ("accepted", "began", "stepped", "ended")}
    for line in (directory / "executions.txt").read_text(encoding="utf-8").splitlines():
        word, run_id = line.split()
        found[word][run_id] += 1
    return found


def serve(mode: str, directory: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.engine.crash_server", mode, str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_in_flight(directory: Path) -> None:
    """Start a server, wait until 200 handlers are in the middle of their work, and kill it."""
    with serve("start", directory) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "in flight\n"
        server.send_signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL


def work_off(directory: Path) -> None:
    """Start a server on the same directory and let it end everything."""
    with serve("finish", directory) as server:
        out, _ = server.communicate(timeout=90)
        assert (out, server.returncode) == ("all ended\n", 0)


async def test_a_killed_server_loses_no_run_and_repeats_none_that_had_finished(tmp_path: Path):
    directory = tmp_path / "data"
    directory.mkdir()
    kill_in_flight(directory)
    before = executions(directory)
    world = World(directory, FrozenClock(), ())
    await world.store.open()
    stored = dict(
        world.rows("SELECT r.run_id, coalesce(h.state, r.state) FROM runs r LEFT JOIN run_heads h USING (run_id)")
    )
    await world.store.close()
    finished = {run_id for run_id, state in stored.items() if state == "completed"}
    assert set(before["accepted"]) <= set(stored), "what was acknowledged is there"
    assert len(before["accepted"]) == RUNS
    assert sum(state == "executing" for state in stored.values()) >= SLOTS
    assert finished, "some had finished"
    assert finished <= set(before["ended"])
    work_off(directory)
    after = executions(directory)
    await check_the_end(directory, stored, finished, before, after)


async def check_the_end(
    directory: Path,
    stored: dict[str, str],
    finished: set[str],
    before: dict[str, Counter[str]],
    after: dict[str, Counter[str]],
) -> None:
    """Check what is stored in the end against what was noted."""
    world = await World(directory, FrozenClock(), ()).open()
    runs = [await world.run(run_id) for run_id in stored]
    assert {run.state for run in runs} == {"completed"}, "all reach their end"
    assert {run_id: after["ended"][run_id] for run_id in finished} == dict.fromkeys(finished, 1)
    assert {run_id: after["began"][run_id] for run_id in finished} == dict.fromkeys(finished, 1)
    lost = [run.run_id for run in runs if run.run_id in before["began"] and run.run_id not in finished]
    assert len(lost) >= SLOTS
    assert {after["began"][run_id] for run_id in lost} == {2}, "each was begun again, once"
    assert {(await world.run(run_id)).attempt for run_id in lost} == {2}
    kept = {run_id for (run_id,) in world.rows("SELECT DISTINCT run_id FROM run_values WHERE kind = 'step'")}
    assert set(lost) <= kept
    assert {(await world.store.attempts(run_id))[0].outcome for run_id in lost} == {"crashed"}
    await world.check()
    await world.close()
