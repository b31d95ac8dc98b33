"""Whoever dies, no process is left: a killed server, a killed worker elsewhere."""

from pathlib import Path

import pytest

from tests.acceptance.live_server import MORTAL, LiveServer
from tests.acceptance.live_worker import LiveWorker
from tests.acceptance.process_jobs import output, process, processes_with
from tests.acceptance.speech import Speech, said, unique
from tests.engine.databases import Database
from tests.waiting import until

FAMILY = """
import os, signal, sys, time
for detached in (False, True, True):
    if os.fork() == 0:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if detached:
            os.setsid()  # a daemon: in a session of its own, and of a parent that is gone
            if os.fork() > 0:
                os._exit(0)
            for fd in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        time.sleep(3600)
print("here", flush=True)
time.sleep(3600)
"""
"""A process, its child, and two grandchildren that have done everything to outlive it."""

pytestmark = pytest.mark.xdist_group("acceptance-processes")


@pytest.fixture(scope="module", params=["sqlite"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Name one database: what is tested here is the operating system's to do."""
    return str(request.param)


async def test_a_killed_server_leaves_no_process_nor_daemon(tmp_path: Path, database: Database):
    server = LiveServer(tmp_path, database, **MORTAL, worker=None, process_slots=2)
    await server.start()
    api, marker = Speech(server.client()), unique("marker")
    run = await api.trigger(await process(api, "python3", "-c", FAMILY, marker, max_attempts=2))
    await api.until(run["id"], "terminal.output")
    await until(lambda: len(processes_with(marker, program="python3")) == 4)
    await server.kill()
    await until(lambda: processes_with(marker) == [])
    await server.start()
    api = Speech(server.client())
    await api.until(run["id"], "process.started", count=2)
    assert (await api.run(run["id"]))["attempt"] == 2
    assert (await said(api.client.delete(f"/v1/runs/{run['id']}")))["status"] == "canceled"
    await until(lambda: processes_with(marker) == [])
    await server.close()


async def test_a_worker_elsewhere_runs_commands_too_and_killed_it_leaves_none(tmp_path: Path, database: Database):
    server = LiveServer(tmp_path, database, **MORTAL, worker=None)
    await server.start()
    try:
        api, marker = Speech(server.client()), unique("marker")
        job = await process(api, "python3", "-c", FAMILY, marker, max_attempts=2)
        run = await api.trigger(job, {"a": 1})
        worker = await LiveWorker(server.url, tmp_path, "--processes", handlers=None).start()
        await api.until(run["id"], "terminal.output")
        [listed] = await api.listed("/v1/workers")
        assert (listed["processes"], listed["jobs"], listed["busy"]) == (True, [], 1)
        await until(lambda: len(processes_with(marker, program="python3")) == 4)
        await worker.kill()
        await until(lambda: processes_with(marker) == [])
        other = await LiveWorker(server.url, tmp_path, "--processes", handlers=None).start()
        await api.until(run["id"], "process.started", count=2)
        paused = await api.verb(run["id"], "pause")
        assert (paused["status"], processes_with(marker)) == ("paused", [])
        assert "here" in output(await api.events(run["id"]), "stdout")
        await other.kill()
    finally:
        await server.close()
