"""A server is killed in the very transaction in which runs park: no wait is lost, and no event is given twice."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from runwright.clock import FrozenClock
from tests.engine.databases import Database
from tests.engine.parking_server import KINDS
from tests.engine.world import World


def serve(mode: str, directory: Path, database: Database) -> "subprocess.CompletedProcess[str]":
    """Run a server process to its end."""
    url = database.settings.get("database_url", "sqlite")
    command = [sys.executable, "-m", "tests.engine.parking_server", mode, str(directory), url]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)


def noted(directory: Path) -> Counter[tuple[str, ...]]:
    """Return how often each thing was noted by handlers."""
    lines = (directory / "executions.txt").read_text(encoding="utf-8").splitlines()
    return Counter(tuple(line.split()) for line in lines)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_server_killed_while_runs_park_loses_no_wait_and_gives_no_event_twice(
    database: Database, tmp_path: Path, moment: str
):
    directory = Path(database.settings.get("data_dir", tmp_path))
    directory.mkdir(exist_ok=True)
    assert serve(moment, directory, database).returncode == -signal.SIGKILL
    assert noted(directory) == Counter({("began", kind): 1 for kind in KINDS}), "all were executing, and none went on"
    ended = serve("finish", directory, database)
    assert (ended.stdout, ended.returncode) == ("all ended\n", 0)
    assert {kind: noted(directory)["got", kind] for kind in KINDS} == dict.fromkeys(KINDS, 1)

    world = await World(directory, FrozenClock(), (), database).open()
    crashed = 0
    for run_id in (directory / "accepted.txt").read_text().split():
        record = await world.record(run_id)
        assert record.run.state == "completed"
        outcomes = [attempt.outcome for attempt in await world.store.attempts(run_id)]
        assert outcomes.count("completed") == 1
        crashed += "crashed" in outcomes
    if moment == "before":
        assert crashed == len(KINDS), "of what was not committed, nothing is there: each is lost, and begins again"
    else:
        assert crashed < len(KINDS), "what was committed holds: it is no lost lease"
    assert world.rows("SELECT count(*) FROM kept_signals") == [(0,)], "each event was given away"
    assert world.rows("SELECT count(*) FROM signal_waits") == [(0,)]
    await world.check()
    await world.close()
