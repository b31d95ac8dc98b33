"""Clients of a real server behind networks that fail: nothing lost, nothing twice, and nothing left behind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runwright.client.api import AsyncClient
from runwright.client.backoff import Backoff
from runwright.client.errors import ServerUnreachable
from runwright.client.models import Event
from runwright.client.stream import EventStream
from tests.acceptance.frames import event_bytes, events
from tests.acceptance.gate import Gate, opened_gate
from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.speech import SSE, Speech, said
from tests.faults.proxy import End, Proxy
from tests.waiting import until

pytestmark = [pytest.mark.xdist_group("faults-networks"), pytest.mark.slow]

PATIENT = Backoff(attempts=100, initial_s=0.02, max_s=0.1)
PATIENCE_S = 60.0
STAGES = 8


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    live = LiveServer(
        tmp_path_factory.mktemp("networks"),
        stream_keepalive_s=0.2,
        stream_lag_max=50,
        connection_idle_s=0.5,
        connection_stall_s=1,
        request_read_s=1,
        key_cache_s=300,
    )
    await live.start()
    yield live
    await live.close()


@pytest.fixture
async def proxy(server: LiveServer) -> AsyncIterator[Proxy]:
    async with Proxy.to(server.port) as made:
        yield made


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with opened_gate() as made:
        yield made


@pytest.fixture
async def api(server: LiveServer) -> Speech:
    return Speech(server.client())


def behind(proxy: Proxy, *, timeout_s: float = 30.0, attempts: int = 100) -> AsyncClient:
    """Return a client of the SDK behind the proxy."""
    return AsyncClient(proxy.url, API_KEY, timeout_s=timeout_s, backoff=Backoff(attempts, 0.02, 0.1))


def sockets(server: LiveServer) -> int:
    """Count the sockets that the server's process has open."""
    found = 0
    folder = Path(f"/proc/{server.process.pid}/fd")
    for descriptor in folder.iterdir():
        try:
            found += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return found


def resident_mib(server: LiveServer) -> float:
    """Return the memory of the server's process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


async def open_streams(api: Speech) -> int:
    """Return how many streams the server says are open."""
    page = (await api.client.get("/metrics")).text
    return int(float(re.findall(r"^runwright_streams_open (\S+)$", page, re.MULTILINE)[0]))


async def all_gone(server: LiveServer, api: Speech, before: int) -> None:
    """Wait until no stream and no connection is left of those that a test made."""
    await until(lambda: open_streams(api), lambda count: not count and sockets(server) <= before)


def more(things: list[str], before: int) -> bool:
    return len(things) > before


def reached(got: list[Event], stage: int) -> bool:
    return sum(event.type == "checkpoint.saved" for event in got) > stage


# --- streams ----------------------------------------------------------------------------------------------------------


def troubles(proxy: Proxy) -> list[Callable[[], None]]:
    """Return everything that may happen to a stream, one after the other."""

    def cut(count: int, ended: End) -> Callable[[], None]:
        return lambda: proxy.down.cut_after(count, ended)

    def slow() -> None:
        proxy.down.latency_s, proxy.down.jitter_s, proxy.down.bytes_per_s = 0.01, 0.01, 20_000

    def hole() -> None:
        proxy.accepting = "silent"
        proxy.reset()

    def unheard() -> None:
        proxy.up.silent = True
        proxy.reset()

    return [
        proxy.reset,
        cut(37, "reset"),
        cut(201, "closed"),
        cut(150, "silent"),
        proxy.freeze,
        slow,
        hole,
        unheard,
    ]


async def test_a_stream_goes_through_every_trouble_without_gap_or_repeat(
    proxy: Proxy, api: Speech, gate: Gate, server: LiveServer
):
    run_id = (await api.trigger(await api.job("stages"), {"stages": STAGES, "gate": gate.port}))["id"]
    cuts: list[str] = []
    async with behind(proxy, timeout_s=1) as client:
        stream = EventStream(
            client.runs._transport,
            run_id,
            backoff=PATIENT,
            idle_timeout_s=1,
            on_cut=lambda why, _: cuts.append(str(why)),
        )
        got: list[Event] = []

        following = asyncio.create_task(follow(stream, got))
        for stage, trouble in enumerate(troubles(proxy)):
            await gate.arrived(word=f"stage {stage}")
            await until(partial(reached, got, stage))
            before = len(cuts)
            trouble()
            gate.open(f"stage {stage}")
            if trouble.__name__ != "slow":
                await until(partial(more, cuts, before))
            proxy.heal()
        proxy.heal()
        async with asyncio.timeout(PATIENCE_S):
            await following
    stored = await api.events(run_id)
    assert [event.seq for event in got] == list(range(1, len(stored) + 1))
    assert [(event.seq, event.type, event.data) for event in got] == [
        (each["seq"], each["type"], each["data"]) for each in stored
    ]
    assert len(cuts) >= STAGES - 1, cuts


async def test_the_bytes_of_a_stream_that_was_cut_everywhere_are_those_of_one_that_was_not(
    proxy: Proxy, api: Speech, server: LiveServer
):
    run = await api.done(await api.job("talk"), {"lines": 10})
    whole = await api.stream(run["id"])
    async with httpx2.AsyncClient(base_url=proxy.url, headers={**SSE, "authorization": f"Bearer {API_KEY}"}) as client:
        for size in (1, 97, 300, 555, 1000, 2500):
            collected, last, sent = b"", 0, 0
            while True:
                proxy.down.cut_after(size + sent, "closed" if size % 2 else "reset")
                raw = await cut_stream(client, run["id"], last)
                if raw is None:
                    break
                collected += event_bytes(raw)
                last = events(collected)[-1]["seq"] if collected else 0
                sent += 61  # so that each connection gets further than the one before
            assert collected == whole


async def cut_stream(client: httpx2.AsyncClient, run_id: str, last: int) -> bytes | None:
    """Return what came of a stream until it was cut; None where the server said that there is no more."""
    raw = b""
    try:
        async with client.stream("GET", f"/v1/runs/{run_id}/stream", headers={"last-event-id": str(last)}) as response:
            if response.status_code == 204:
                return None
            async for part in response.aiter_raw():
                raw += part
    except httpx2.TransportError:
        pass
    return raw


async def test_a_reader_behind_a_slow_line_lags_resumes_and_reads_everything(
    proxy: Proxy, api: Speech, gate: Gate, server: LiveServer
):
    run = await api.trigger(await api.job("floods"), {"gate": gate.port, "events": 150, "bytes": 20_000})
    await gate.arrived()
    async with behind(proxy) as client:
        stream = client.runs.stream(run["id"], backoff=PATIENT)
        got: list[Event] = []

        following = asyncio.create_task(follow(stream, got))
        await until(lambda: len(got) == 2)
        proxy.down.bytes_per_s = 60_000
        gate.open()
        assert await api.stream(run["id"], types="run.completed")
        proxy.heal()
        async with asyncio.timeout(PATIENCE_S):
            await following
    assert [event.seq for event in got] == list(range(1, (await api.run(run["id"]))["last_seq"] + 1))


# --- requests ---------------------------------------------------------------------------------------------------------


async def test_a_read_that_gets_no_answer_is_tried_again_and_one_that_never_gets_one_says_so(
    proxy: Proxy, api: Speech, server: LiveServer
):
    run = await api.done(await api.job("echo"))
    async with behind(proxy, timeout_s=0.2, attempts=3) as client:
        proxy.accepting = "silent"
        with pytest.raises(ServerUnreachable, match=re.escape(proxy.url)):
            await client.runs.get(run["id"])
        assert proxy.opened == 3
    async with behind(proxy, timeout_s=0.2) as client:  # however often: how soon the server answers is not asked here
        reading = asyncio.create_task(client.runs.get(run["id"]))
        await until(lambda: proxy.opened == 4)
        proxy.heal()
        assert (await reading).id == run["id"]


@pytest.mark.parametrize("trouble", ["reset", "refused"])
async def test_a_server_behind_a_network_that_refuses_is_unreachable_until_it_is_not(
    proxy: Proxy, api: Speech, server: LiveServer, trouble: Any
):
    run = await api.done(await api.job("echo"))
    async with behind(proxy, attempts=3) as client:
        proxy.accepting = trouble
        with pytest.raises(ServerUnreachable):
            await client.runs.get(run["id"])
        proxy.heal()
        assert (await client.runs.get(run["id"])).id == run["id"]


async def test_a_command_whose_answer_is_lost_is_sent_again_and_done_once(proxy: Proxy, api: Speech, gate: Gate):
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    await gate.arrived()
    async with behind(proxy, timeout_s=0.3) as client:
        proxy.down.silent = True
        cancelling = asyncio.create_task(client.runs.cancel(run["id"]))
        await until(lambda: proxy.opened == 4)
        proxy.heal()
        assert (await cancelling).id == run["id"]
    asked = [event for event in await api.events(run["id"]) if event["type"] == "run.cancel_requested"]
    assert len(asked) == 1


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_trigger_through_resets_at_every_byte_makes_exactly_one_run(
    proxy: Proxy, api: Speech, server: LiveServer, direction: str
):
    job = await api.job("echo")
    line = getattr(proxy, direction)
    made = []
    async with behind(proxy, timeout_s=2) as client:
        for number, count in enumerate([0, 1, 20, 100, 180, 250, 300, 400, 600, 1000]):
            proxy.reset()  # no connection is left over from before, on which nothing would be cut
            line.cut_after(count, "silent" if number % 5 == 4 else "reset")
            made.append((await client.jobs.trigger(job, {"n": number})).id)
            line.heal()
    listed = await api.listed("/v1/runs", job_id=job)
    assert sorted(run["id"] for run in listed) == sorted(made)
    assert sorted(run["payload"]["n"] for run in listed) == list(range(10))


# --- what is left behind ----------------------------------------------------------------------------------------------


async def test_half_open_streams_end_with_their_run_and_leave_nothing(
    proxy: Proxy, api: Speech, gate: Gate, server: LiveServer
):
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    await gate.arrived()
    before = sockets(server)
    clients = [await half_open(proxy, run["id"]) for _ in range(30)]
    await until(lambda: open_streams(api), lambda count: count >= 30)
    proxy.freeze()
    for client in clients:
        client.close()  # the server never hears of it
    assert await open_streams(api) == 30
    gate.open()
    await api.ended(run["id"])
    await all_gone(server, api, before)


async def follow(stream: EventStream, got: list[Event]) -> None:
    """Keep what a stream gives, as it comes."""
    async for event in stream:
        got += [event]


async def half_open(proxy: Proxy, run_id: str) -> asyncio.StreamWriter:
    """Ask for a stream."""
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    request = f"GET /v1/runs/{run_id}/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {API_KEY}\r\n\r\n"
    writer.write(request.encode())
    return writer


async def test_readers_that_do_not_read_are_cut_off_within_bounded_memory(
    proxy: Proxy, api: Speech, gate: Gate, server: LiveServer
):
    run = await api.trigger(await api.job("floods"), {"gate": gate.port, "events": 300, "bytes": 30_000})
    await gate.arrived()
    before = sockets(server)
    clients = [await half_open(proxy, run["id"]) for _ in range(20)]
    await until(lambda: open_streams(api), lambda count: count >= 20)
    memory = resident_mib(server)
    proxy.down.bytes_per_s = 10  # who reads ten bytes a second reads nothing
    gate.open()
    assert await api.stream(run["id"], types="run.completed")
    await all_gone(server, api, before)
    assert resident_mib(server) < memory + 150, "20 readers of 9 MB each cost nothing near 180 MB"
    for client in clients:
        client.close()
    proxy.reset()


async def test_clients_that_send_half_a_request_are_let_go(proxy: Proxy, api: Speech, server: LiveServer):
    job = await api.job("echo")
    await said(api.client.get("/v1/me"))
    before = sockets(server)
    streams = []
    head = f"POST /v1/jobs/{job}/trigger HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {API_KEY}\r\n"
    for half in ("POST /v1/jo", head, head + "content-type: application/json\r\ncontent-length: 99\r\n\r\n{"):
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(half.encode())
            streams.append((reader, writer))
    async with asyncio.timeout(PATIENCE_S):
        for reader, writer in streams:
            await reader.read()  # to where the server ended it: it waits for nobody to end it here
            writer.close()
    await all_gone(server, api, before)
    assert await api.runs(job_id=job) == []
