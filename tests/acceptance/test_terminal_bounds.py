"""Viewers of a terminal that see nothing, take nothing or come too late are told so by the close code."""

import socket
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect

from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.process_jobs import process
from tests.acceptance.speech import Speech, refused
from tests.acceptance.test_terminal import all_of, closed, printed, stopped, watching
from tests.engine.databases import Database
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("acceptance-processes")


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, module_database: Database) -> AsyncIterator[LiveServer]:
    """Serve with little patience, and forget what has ended after a second."""
    bounds = {
        "process_slots": 2,
        "terminal_idle_s": 1.5,
        "connection_stall_s": 0.5,
        "stream_lag_max_bytes": 4096,
        "retention_days": 1.2 / 86_400,
        "prune_s": 0.1,
    }
    live = LiveServer(tmp_path_factory.mktemp("bounds"), module_database, worker=None, **bounds)
    await live.start()
    yield live
    await live.close()


async def test_a_viewer_that_is_shown_nothing_for_long_is_let_go(server: LiveServer, api: Speech):
    run = await api.trigger(await process(api, "sh", "-c", "sleep 3600"))
    async with watching(server, run["id"]) as viewer:
        frames, code = await closed(viewer)
    assert (code, frames[0]["t"]) == (4408, "hello")
    await stopped(api, run)


async def test_a_viewer_that_takes_nothing_is_cut_off(server: LiveServer, api: Speech):
    # More than the kernel takes in its place (3 MB), and of a run that goes on: what has ended is soon forgotten here.
    script = "head -c 8000000 /dev/zero | tr '\\0' x; sleep 3600"
    run = await api.trigger(await process(api, "sh", "-c", script))
    output = f"/v1/runs/{run['id']}/events?types=terminal.output&limit=1"
    await until(
        lambda: api.client.get(output), lambda page: page.json()
    )  # who is shown nothing long is let go for that
    path = f"/api/v1/runs/{run['id']}/terminal"
    headers = {"authorization": f"Bearer {API_KEY}"}
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what is not read does not wait here
    small.connect(("127.0.0.1", server.port))
    small.setblocking(False)
    url = server.url.replace("http", "ws", 1) + path
    slow = connect(url, additional_headers=headers, compression=None, max_queue=1, sock=small)
    async with slow as viewer:
        cut = 'runwright_terminals_closed_total{code="4429"}'
        await until(lambda: api.client.get("/metrics"), lambda page: cut in page.text)
        frames, code = await closed(viewer)
    assert (code, len(printed(frames)) < 8_000_000) == (4429, True)
    await stopped(api, run)


async def test_what_retention_has_removed_is_a_gap_or_gone(server: LiveServer, api: Speech):
    run = await api.done(await process(api, "echo", "once"))
    path = f"/api/v1/runs/{run['id']}/terminal"
    first = (await all_of(server, run["id"]))[0]["first_cursor"]
    await until(lambda: api.client.get(path), lambda answer: answer.status_code != 200)
    await refused(api.client.get(path), 410, "runs.pruned")
    async with watching(server, run["id"], f"?cursor={first}") as viewer:
        frames, code = await closed(viewer)
    assert (code, frames[-1]["code"]) == (4410, "CURSOR_EXPIRED")
    hello, gap, eof = await all_of(server, run["id"])
    assert (gap["t"], gap["reason"], gap["to"]) == ("gap", "retention", eof["final_cursor"])
    assert (eof["sha256"], hello["first_cursor"] <= gap["to"]) == (None, True)
