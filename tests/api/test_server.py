"""The server says once that it is ready, ends by a signal with status 0, and refuses an address that it cannot have."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from runwright.api.app import build
from runwright.api.server import run, serve
from runwright.errors import InvalidSettings
from tests.api.conftest import Kit
from tests.waiting import until_then

ROOT = Path(__file__).parents[2]
PROGRAM = """
from runwright.api.server import run, serve
from tests.api.conftest import Kit

kit = Kit(port=0, drain_s=20, connection_idle_s=0.2)
run(serve(kit.app, kit.settings, kit.streams.drain))
print("ended")
"""


class Process:
    """A server in a process of its own."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().strip()
        self.url = self.line.removeprefix("ready ")

    def end(self, sig: signal.Signals) -> tuple[int, str, str]:
        self.process.send_signal(sig)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_the_server_is_ready_once_and_ends_by_a_signal_with_status_0(process: Process, sig):
    assert process.line.startswith("ready http://127.0.0.1:")
    assert httpx2.get(f"{process.url}/docs").status_code == 200
    status, out, err = process.end(sig)
    assert (status, out, err) == (0, "ended\n", "")


def test_a_signal_ends_an_open_stream_with_retry(process: Process):
    headers = {"authorization": "Bearer rw_good"}
    with httpx2.stream("GET", f"{process.url}/v1/ticks/t1/stream", headers=headers) as response:
        chunks = response.iter_raw()
        assert next(chunks) == b"retry: 2000\n\n"
        process.process.send_signal(signal.SIGTERM)
        assert b"".join(chunks) == b"retry: 200\n\n"
    assert process.process.wait(timeout=30) == 0


def test_a_second_interrupt_does_not_wait_for_what_is_under_way(process: Process):
    with socket.create_connection(("127.0.0.1", int(process.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"GET /v1/slow HTTP/1.1\r\nhost: x\r\n\r\n")
        headers = {"authorization": "Bearer rw_good"}
        assert httpx2.get(f"{process.url}/v1/who", headers=headers).status_code == 200
        process.process.send_signal(signal.SIGINT)
        with httpx2.Client() as client:
            until_then(lambda: not _accepts(client, process.url))
        status, _, _ = process.end(signal.SIGINT)
    assert status == 0


def _accepts(client: httpx2.Client, url: str) -> bool:
    try:
        client.get(url, headers={"connection": "close"})
    except httpx2.TransportError:
        return False
    return True


def test_an_address_in_use_is_refused_before_anything_begins():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        kit = Kit(port=taken.getsockname()[1])
        with pytest.raises(InvalidSettings, match="cannot listen on"):
            run(serve(kit.app, kit.settings, kit.streams.drain))


def test_a_host_that_does_not_exist_is_refused():
    kit = Kit(port=0, host="no.such.host.invalid")
    with pytest.raises(InvalidSettings, match="cannot listen on"):
        run(serve(kit.app, kit.settings, kit.streams.drain))


def test_the_lifespan_is_entered_before_ready_and_left_before_the_end():
    kit = Kit(port=0)
    life: list[str] = []

    @asynccontextmanager
    async def whole_life() -> AsyncIterator[None]:
        life.append("began")
        yield
        life.append("ended")

    async def begin_and_end() -> None:
        stop = asyncio.Event()

        def on_ready(address: str) -> None:
            life.append("ready")
            stop.set()

        app = build([kit.routes], kit.services, whole_life)
        await serve(app, kit.settings, lambda: life.append("drain"), on_ready=on_ready, stop=stop)

    run(begin_and_end())
    assert life == ["began", "ready", "drain", "ended"]


def test_an_idle_connection_is_closed_after_its_time(process: Process):
    with socket.create_connection(("127.0.0.1", int(process.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"GET /docs/start.js HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 200 OK")
