"""A client that sends too slowly, too much, or reads nothing, loses its connection; every other keeps its own."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from runwright import telemetry
from runwright.api.server import serve
from tests.api.conftest import Kit
from tests.waiting import until

PATIENCE_S = 20.0
POST = b"POST /v1/ticks/t1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer rw_good\r\ncontent-type: application/json\r\n"
BODY = b'{"name": "a tick"}'


class Client:
    """A connection, byte by byte."""

    def __init__(self, port: int, buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.setblocking(False)
        self._port = port

    async def connect(self) -> None:
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self._port))

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def read(self, until: Callable[[bytes], Any] = lambda _: False) -> bytes:
        """Read until the server ends the connection, or a condition of what came holds."""
        got = b""
        async with asyncio.timeout(PATIENCE_S):
            while not until(got) and (part := await asyncio.get_running_loop().sock_recv(self.socket, 65_536)):
                got += part
        return got


class Door:
    """A served surface, and its clients."""

    def __init__(self, kit: Kit, port: int) -> None:
        self.kit = kit
        self.port = port
        self.clients: list[Client] = []
        self.cuts: list[str] = []

    async def client(self, buffer: int | None = None) -> Client:
        client = Client(self.port, buffer)
        self.clients.append(client)
        await client.connect()
        return client


@asynccontextmanager
async def open_door(**settings: Any) -> AsyncIterator[Door]:
    """Serve the small surface over TCP, in this process."""
    kit = Kit(port=0, drain_s=0, **settings)
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(kit.app, kit.settings, kit.streams.drain, on_ready=ready.set_result, stop=stop))
    door = Door(kit, urlsplit(await ready).port or 0)
    detach = telemetry.attach(
        lambda name, fields: door.cuts.append(fields["why"]) if name == "connection.cut" else None
    )
    try:
        yield door
    finally:
        detach()
        for client in door.clients:
            client.socket.close()
        stop.set()
        await serving


def problem(answer: bytes) -> tuple[int, str, dict[str, str]]:
    """Return status, code and headers of a refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert len(body) == int(headers["content-length"])
    return int(first.split()[1]), json.loads(body)["code"], headers


async def test_a_body_that_does_not_arrive_in_time_is_refused_and_its_connection_ends():
    async with open_door(request_read_s=0.2) as door:
        client = await door.client()
        await client.send(POST + b"content-length: %d\r\n\r\n" % len(BODY) + BODY[:5])
        status, code, headers = problem(await client.read())
        assert (status, code, headers["connection"]) == (408, "limits.time", "close")
        assert door.kit.reached == []


async def test_a_body_that_trickles_has_no_more_time_than_one_that_stops():
    async with open_door(request_read_s=0.3) as door:
        client = await door.client()
        await client.send(POST + b"content-length: 1000000\r\n\r\n")
        assert await cut_off(client, b" ") < 1_000_000
        assert door.kit.reached == []


async def cut_off(client: Client, data: bytes) -> int:
    """Send again and again until the connection is no more; return how many bytes went out."""
    sent = 0

    async def refused() -> bool:
        nonlocal sent
        try:
            await client.send(data)
        except ConnectionError:
            return True
        sent += len(data)
        return False

    await until(refused)
    return sent


async def test_a_body_in_pieces_that_arrives_in_time_is_read():
    async with open_door(request_read_s=10) as door:
        client = await door.client()
        await client.send(POST + b"content-length: %d\r\n\r\n" % len(BODY))
        for place in range(len(BODY)):
            await client.send(BODY[place : place + 1])
        assert (await client.read(lambda got: b"a tick" in got)).startswith(b"HTTP/1.1 201")


@pytest.mark.parametrize("start", [b"G", b"GET /v1/who HTTP/1.1\r\nhost: x\r\nx-a: "])
async def test_a_head_that_does_not_arrive_in_time_is_refused(start: bytes):
    async with open_door(request_read_s=0.2) as door:
        client = await door.client()
        await client.send(start)
        assert problem(await client.read())[:2] == (408, "limits.time")
        assert door.cuts == ["head"]


async def test_a_connection_that_says_nothing_is_closed_without_a_word():
    async with open_door(request_read_s=0.2) as door:
        client = await door.client()
        assert await client.read() == b""


async def test_the_second_head_of_a_connection_has_its_own_time():
    async with open_door(request_read_s=1) as door:  # enough for a machine that stands still for a moment
        client = await door.client()
        for _ in range(3):
            await client.send(POST + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
            assert b" 201 " in await client.read(lambda got: b"a tick" in got)
        await client.send(b"GET /v1/who")
        assert problem(await client.read())[:2] == (408, "limits.time")
        assert door.cuts == ["head"]


async def test_a_head_without_end_is_refused_at_its_limit():
    async with open_door(head_max_bytes=4096) as door:
        client = await door.client()
        await client.send(b"GET /v1/who HTTP/1.1\r\nhost: x\r\n")
        sent = await cut_off(client, b"x-filler: %b\r\n" % (b"y" * 100))
        assert sent >= 4096
        assert door.cuts == ["head"]


async def test_a_head_of_nearly_the_limit_is_read_again_and_again():
    async with open_door(head_max_bytes=4096) as door:
        client = await door.client()
        for _ in range(3):
            await client.send(
                b"GET /v1/who HTTP/1.1\r\nhost: x\r\nauthorization: Bearer rw_good\r\nx-filler: " + b"y" * 3900
            )
            await client.send(b"\r\n\r\n")
            assert b"who" in await client.read(lambda got: b'"path"' in got)


async def test_a_body_that_nobody_asked_for_is_not_read_for_ever():
    async with open_door(request_read_s=0.2) as door:
        client = await door.client()
        await client.send(b"GET /v1/who HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        assert b" 401 " in await client.read(), "answered at once, and ended when the rest did not come"
        assert door.cuts == ["body"]


async def test_a_handler_may_take_longer_than_its_request():
    async with open_door(request_read_s=0.1, connection_stall_s=0.1) as door:
        client = await door.client()
        await client.send(b"GET /v1/slow HTTP/1.1\r\nhost: x\r\n\r\n")
        other = await door.client()
        assert await other.read() == b"", "so much time has passed"
        door.kit.gate.set()
        assert b"done" in await client.read(lambda got: b"done" in got)


async def test_a_reader_that_takes_nothing_is_cut_off_and_its_stream_is_closed():
    async with open_door(connection_stall_s=0.3) as door:
        client = await door.client(buffer=4096)
        await client.send(b"GET /v1/ticks/t1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer rw_good\r\n\r\n")
        source = door.kit.source
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(100):
                source.items.put_nowait(b"data: " + b"x" * 100_000 + b"\n\n")
            await source.closed.wait()
        assert door.cuts == ["stall"]
        assert door.kit.streams.count == 0


async def test_a_reader_that_is_slow_but_reads_is_served_to_the_end():
    async with open_door(connection_stall_s=2) as door:
        client = await door.client(buffer=65_536)
        await client.send(b"GET /v1/ticks/t1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer rw_good\r\n\r\n")
        for _ in range(40):
            door.kit.source.items.put_nowait(b"data: " + b"x" * 200_000 + b"\n\n")
        door.kit.source.items.put_nowait(None)
        taken = await client.read(lambda got: got.count(b"\n\n") >= 41)
        assert taken.count(b"x" * 200_000) == 40
        assert door.cuts == []


async def test_a_host_that_is_gone_is_given_up_after_the_same_time():
    async with open_door(connection_stall_s=7) as door:
        client = await door.client()
        await client.send(b"GET /v1/slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: door.kit.reached)
        assert accepted_timeouts(door.port) == {7000}


def accepted_timeouts(port: int) -> set[int]:
    """Return the user time-outs (ms) of the sockets of this process that are bound to a port."""
    found = set()
    for descriptor in range(3, 1024):
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue  # what is copied and is no socket would stay open
        except OSError:
            continue
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            if copy.family == socket.AF_INET and copy.getsockname()[1] == port:
                found.add(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found
