"""The proxy does what it says, so that what is tested with it is tested."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import Proxy
from tests.waiting import until

PATIENCE_S = 20.0
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Peer:
    """A server that hands its connections to the test."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[Ends] = asyncio.Queue()
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Peer]:
        async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.came.put_nowait((reader, writer))

        server = await asyncio.start_server(come, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer().serving() as made:
        yield made


@pytest.fixture
async def proxy(peer: Peer) -> AsyncIterator[Proxy]:
    async with Proxy.to(peer.port) as made:
        yield made


async def pair(proxy: Proxy, peer: Peer) -> tuple[Ends, Ends]:
    """Connect through the proxy; return the client's ends and the server's."""
    client = await asyncio.open_connection("127.0.0.1", proxy.port)
    async with asyncio.timeout(PATIENCE_S):
        return client, await peer.came.get()


async def exchanged(one: Ends, other: Ends, data: bytes) -> None:
    """Send bytes from one end and wait until they are at the other."""
    one[1].write(data)
    async with asyncio.timeout(PATIENCE_S):
        assert await other[0].readexactly(len(data)) == data


async def is_silent(ends: Ends) -> bool:
    """Tell whether nothing is heard at an end, not even a farewell, for as long as healthy bytes take many times."""
    try:
        async with asyncio.timeout(0.1):
            return await ends[0].read(1) == b"never"
    except TimeoutError:
        return True


async def heard(proxy: Proxy) -> bytes:
    """Connect, and return all that is said; who is reset may hear of it at either."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        return await reader.read()
    finally:
        writer.close()


def close(*ends: Ends) -> None:
    for _, writer in ends:
        writer.transport.abort()


async def test_bytes_and_farewells_pass_both_ways(proxy: Proxy, peer: Peer):
    client, server = await pair(proxy, peer)
    await exchanged(client, server, b"x" * 1_000_000)
    await exchanged(server, client, b"y" * 1_000_000)
    client[1].write_eof()
    assert await server[0].read() == b""
    await exchanged(server, client, b"one side may still speak")
    assert (proxy.up.passed, proxy.opened, proxy.links) == (1_000_000, 1, 1)
    server[1].write_eof()
    assert await client[0].read() == b""
    assert proxy.links == 0
    close(client, server)


async def test_latency_and_jitter_delay_without_changing_the_order(proxy: Proxy, peer: Peer):
    loop = asyncio.get_running_loop()
    client, server = await pair(proxy, peer)
    proxy.up.latency_s, proxy.up.jitter_s = 0.02, 0.02
    before = loop.time()
    for number in range(5):
        await exchanged(client, server, b"%d" % number)
    assert loop.time() - before >= 5 * 0.02
    close(client, server)


async def test_a_slow_line_holds_the_sender_back(proxy: Proxy, peer: Peer):
    client, server = await pair(proxy, peer)
    proxy.down.bytes_per_s = 10_000
    server[1].transport.set_write_buffer_limits(1)
    server[1].write(b"x" * 8_000_000)
    waiting = asyncio.create_task(server[1].drain())
    assert await client[0].read(10_000)
    assert not waiting.done(), "what does not fit through stays with who sent it"
    proxy.heal()
    async with asyncio.timeout(PATIENCE_S):
        got = 0
        while got < 7_990_000:
            got += len(await client[0].read(1 << 20))
        await waiting
    close(client, server)


async def test_a_dead_direction_swallows_what_it_is_given_and_the_other_lives(proxy: Proxy, peer: Peer):
    client, server = await pair(proxy, peer)
    proxy.up.silent = True
    client[1].write(b"lost")
    await exchanged(server, client, b"still heard")
    client[1].write_eof()
    assert await is_silent(server), "half-open: the farewell does not arrive either"
    close(client, server)


@pytest.mark.parametrize("count", [0, 1, 10, 4095, 100_000])
async def test_a_connection_is_cut_after_so_many_bytes_of_one_direction(proxy: Proxy, peer: Peer, count: int):
    client, server = await pair(proxy, peer)
    await exchanged(client, server, b"before")
    proxy.down.cut_after(count, "closed")
    server[1].write(b"x" * 200_000)
    async with asyncio.timeout(PATIENCE_S):
        assert len(await client[0].read()) == count
    another, there = await pair(proxy, peer)
    await exchanged(there, another, b"x" * 1000)  # a cut is once
    close(client, server, another, there)


async def test_a_reset_is_a_reset_on_both_sides(proxy: Proxy, peer: Peer):
    client, server = await pair(proxy, peer)
    await exchanged(client, server, b"before")
    proxy.reset()
    for reader, _ in (client, server):
        with pytest.raises(ConnectionResetError):
            await reader.read()
    assert proxy.links == 0
    close(client, server)


async def test_frozen_connections_stay_open_and_silent_and_new_ones_work(proxy: Proxy, peer: Peer):
    client, server = await pair(proxy, peer)
    await exchanged(client, server, b"before")
    proxy.freeze()
    client[1].write(b"lost")
    server[1].write(b"lost")
    assert await is_silent(client)
    assert await is_silent(server)
    another, there = await pair(proxy, peer)
    await exchanged(another, there, b"works")
    close(client, server, another, there)


async def test_a_cut_may_be_silent(proxy: Proxy, peer: Peer):
    client, server = await pair(proxy, peer)
    proxy.down.cut_after(3, "silent")
    server[1].write(b"x" * 10)
    assert await client[0].readexactly(3) == b"xxx"
    assert await is_silent(client)
    close(client, server)


async def test_new_connections_may_vanish_be_reset_or_be_closed(proxy: Proxy, peer: Peer):
    proxy.accepting = "silent"
    hole = await asyncio.open_connection("127.0.0.1", proxy.port)
    hole[1].write(b"hello")
    assert await is_silent(hole)
    proxy.accepting = "reset"
    with pytest.raises(ConnectionResetError):
        await heard(proxy)
    proxy.accepting = "refused"
    assert await heard(proxy) == b""
    assert peer.came.empty()
    proxy.heal()
    client, server = await pair(proxy, peer)
    await exchanged(client, server, b"works")
    close(client, server, hole)


async def test_a_server_that_is_gone_is_a_reset_and_one_that_comes_back_is_found(proxy: Proxy, peer: Peer):
    port, proxy.target = proxy.target, 1
    with pytest.raises(ConnectionResetError):
        await heard(proxy)
    proxy.target = port
    client, server = await pair(proxy, peer)
    await exchanged(client, server, b"works")
    close(client, server)


async def test_a_proxy_that_ends_while_somebody_comes_leaves_nothing_open(peer: Peer):
    for turns in range(5):  # wherever it is between the two connections
        async with Proxy.to(peer.port) as proxy:
            caller = socket.create_connection(("127.0.0.1", proxy.port))
            await until(lambda: proxy.opened)
            for _ in range(turns):
                await asyncio.sleep(0)
        with caller, pytest.raises(ConnectionResetError):
            caller.recv(1)
