"""A stream gives its reader every byte of its source, shows that it lives, and ends for a reason that shows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest

from runwright.api import sse
from runwright.api.server import serve
from runwright.domain.events import Event
from runwright.errors import InvalidRequest, StoreUnavailable
from tests.api.conftest import ACTOR, Kit, Source


class Reader:
    """Reads a stream as it comes."""

    def __init__(self, response: httpx2.Response) -> None:
        self._chunks = response.aiter_raw()
        self.text = ""

    async def until(self, part: str) -> str:
        while part not in self.text:
            self.text += (await anext(self._chunks)).decode()
        return self.text

    async def rest(self) -> str:
        async for chunk in self._chunks:
            self.text += chunk.decode()
        return self.text


class Server:
    """A kit behind a real socket."""

    def __init__(self, kit: Kit, url: str, stop: asyncio.Event, stopped: "asyncio.Task[None]") -> None:
        self.kit = kit
        self.stop = stop
        self.stopped = stopped
        self.client = httpx2.AsyncClient(
            base_url=url, headers={"authorization": "Bearer rw_good"}, timeout=httpx2.Timeout(20)
        )

    def stream(self) -> Any:
        return self.client.stream("GET", "/v1/ticks/t1/stream")


@pytest.fixture
def settings() -> dict[str, Any]:
    return {}


@pytest.fixture
async def server(settings: dict[str, Any]) -> AsyncIterator[Server]:
    kit = Kit(**{"port": 0, "drain_s": 60, **settings})
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    stopped = asyncio.create_task(serve(kit.app, kit.settings, kit.streams.drain, on_ready=ready.set_result, stop=stop))
    server = Server(kit, await ready, stop, stopped)
    yield server
    await server.client.aclose()
    stop.set()
    await stopped


async def test_a_stream_begins_with_its_headers_and_retry_and_ends_with_its_source(server: Server):
    source = server.kit.source
    for item in (b"id: 1\ndata: {}\n\nid: 2\ndata: {}\n\n", b"id: 3\ndata: {}\n\n", None):
        source.items.put_nowait(item)
    async with server.stream() as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["x-request-id"].startswith("req_")
        text = await Reader(response).rest()
    assert text == "retry: 2000\n\nid: 1\ndata: {}\n\nid: 2\ndata: {}\n\nid: 3\ndata: {}\n\n"
    assert source.closed.is_set()
    assert server.kit.streams.count == 0


async def test_what_comes_live_is_sent_at_once(server: Server):
    async with server.stream() as response:
        reader = Reader(response)
        await reader.until("retry: 2000\n\n")
        for n in range(3):
            server.kit.source.items.put_nowait(b"id: %d\n\n" % n)
            await reader.until(f"id: {n}\n\n")


async def test_a_reader_that_goes_away_ends_its_stream(server: Server):
    async with server.stream() as response:
        await Reader(response).until("retry")
        assert server.kit.streams.count == 1
    await server.kit.source.closed.wait()
    assert server.kit.streams.count == 0


@pytest.mark.parametrize("settings", [{"stream_keepalive_s": 0.05, "stream_retry_ms": 7}])
async def test_a_silent_stream_sends_comments_and_ends_when_its_key_is_revoked(server: Server):
    async with server.stream() as response:
        reader = Reader(response)
        await reader.until(": keepalive\n\n: keepalive\n\n")
        del server.kit.tokens.actors["rw_good"]
        text = await reader.rest()
    assert text.startswith("retry: 7\n\n: keepalive")
    assert server.kit.source.closed.is_set()


@pytest.mark.parametrize("settings", [{"stream_keepalive_s": 0.05}])
async def test_a_stream_ends_when_its_key_loses_the_scope(server: Server):
    async with server.stream() as response:
        reader = Reader(response)
        await reader.until(": keepalive")
        server.kit.tokens.actors["rw_good"] = msgspec.structs.replace(ACTOR, scopes=frozenset({"jobs:trigger"}))
        await reader.rest()
    assert server.kit.streams.count == 0


@pytest.mark.parametrize("settings", [{"stream_keepalive_s": 0.05}])
async def test_a_stream_lives_on_while_its_key_cannot_be_checked(server: Server, monkeypatch: pytest.MonkeyPatch):
    async with server.stream() as response:
        reader = Reader(response)
        await reader.until("retry")

        async def away(token: str | None) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(server.kit.tokens, "authenticate", away)
        await reader.until(": keepalive\n\n: keepalive\n\n")
        server.kit.source.items.put_nowait(None)
        await reader.rest()


async def test_a_stream_whose_store_is_away_ends_behind_what_was_read_and_breaks_nothing(
    server: Server, caplog: pytest.LogCaptureFixture
):
    async with server.stream() as response:
        server.kit.source.items.put_nowait(b"id: 1\n\n")
        server.kit.source.items.put_nowait(StoreUnavailable("no answer"))
        assert (await Reader(response).rest()).endswith("id: 1\n\n")
    assert server.kit.source.closed.is_set()
    assert "a stream ended early" in caplog.text
    assert {record.levelname for record in caplog.records} == {"WARNING"}


async def test_a_draining_server_ends_streams_with_retry_and_answers_what_it_began(server: Server):
    slow = asyncio.create_task(server.client.get("/v1/slow"))
    async with server.stream() as response:
        reader = Reader(response)
        server.kit.source.items.put_nowait(b"id: 1\n\n")
        await reader.until("id: 1\n\n")
        server.stop.set()
        assert (await reader.rest()).endswith("id: 1\n\nretry: 200\n\n")
    server.kit.gate.set()
    response = await slow
    assert (response.status_code, response.json()) == (200, "done")


async def test_a_stream_asked_for_while_draining_ends_at_once(server: Server):
    server.kit.streams.drain()
    async with server.stream() as response:
        assert await Reader(response).rest() == "retry: 2000\n\nretry: 200\n\n"
    assert server.kit.source.closed.is_set()


@pytest.mark.parametrize("settings", [{"streams_per_key": 2}])
async def test_a_key_has_only_so_many_streams(server: Server):
    async with server.stream() as first, server.stream() as second:
        readers = [Reader(first), Reader(second)]
        for reader in readers:
            await reader.until("retry")
        refused = await server.client.get("/v1/ticks/t1/stream")
        assert (refused.status_code, refused.json()["code"]) == (429, "limits.streams")
        assert refused.headers["retry-after"] == "5"
        other = {"authorization": "Bearer rw_reader"}
        async with server.client.stream("GET", "/v1/ticks/t1/stream", headers=other) as third:
            await Reader(third).until("retry")


async def test_a_source_that_fails_cuts_the_connection(server: Server, caplog: pytest.LogCaptureFixture):
    async with server.stream() as response:
        reader = Reader(response)
        await reader.until("retry")
        server.kit.source.items.put_nowait(ZeroDivisionError("broken"))
        with pytest.raises(httpx2.RemoteProtocolError):
            await reader.rest()
    assert any("failed while it was answered" in record.getMessage() for record in caplog.records)
    assert server.kit.streams.count == 0


async def test_head_gets_the_headers_of_a_stream_only(server: Server):
    response = await server.client.head("/v1/ticks/t1/stream")
    assert response.headers["content-type"] == "text/event-stream"
    assert server.kit.streams.count == 0


@pytest.mark.parametrize("settings", [{"drain_s": 0.2, "stream_keepalive_s": 0.05}])
async def test_a_reader_that_takes_nothing_holds_up_the_drain_for_drain_s_at_most(server: Server):
    port = server.client.base_url.port
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /v1/ticks/t1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer rw_good\r\n\r\n")
    for _ in range(2):
        server.kit.source.items.put_nowait(b"data: " + b"x" * 20_000_000 + b"\n\n")
    await server.kit.source.emptied.wait()
    server.stop.set()
    await server.stopped
    assert server.kit.source.closed.is_set()
    writer.close()


def event(**changes: Any) -> Event:
    made = Event(
        run_id="run_1",
        seq=3,
        type="run.progress",
        level="info",
        actor="system:worker",
        message='half "way"\n',
        data=b'{"percent":50}',
        salt=b"",
        lease_epoch=1,
        created_at=1_800_000_000_000_001,
        hash=b"",
    )
    return msgspec.structs.replace(made, **changes)


def test_a_v1_frame_has_the_seq_as_id_and_the_stored_bytes_as_data():
    expected = (
        b'{"seq":3,"type":"run.progress","data":{"percent":50},"created_at":"2027-01-15T08:00:00.000001Z",'
        b'"event_id":"run_1.3","run_id":"run_1","level":"info","message":"half \\"way\\"\\n"}'
    )
    assert sse.v1_frame(event()) == b"id: 3\ndata: " + expected + b"\n\n"
    assert sse.v1_frame(event(), named=True) == b"id: 3\nevent: run.progress\ndata: " + expected + b"\n\n"


def test_an_event_whose_data_was_erased_shows_null():
    assert b'"data":null' in sse.v1_frame(event(data=b""))


def test_control_frames_have_a_name_and_no_id():
    assert sse.lagged_frame(9) == b'event: lagged\ndata: {"last_seq":9}\n\n'


def test_a_stream_goes_on_after_the_larger_of_parameter_and_header():
    assert sse.resume_after(None, None) == 0
    assert sse.resume_after(3, "7") == 7
    assert sse.resume_after(7, "3") == 7
    assert sse.resume_after(7, " ") == 7
    for broken in ("-1", "x", "1.5", "²", "9" * 19):
        with pytest.raises(InvalidRequest):
            sse.resume_after(0, broken)


def test_only_an_accept_that_names_it_asks_for_a_stream():
    assert sse.is_asked_for("text/event-stream")
    assert sse.is_asked_for("application/json;q=0.5, Text/Event-Stream")
    assert not sse.is_asked_for("*/*")
    assert not sse.is_asked_for(None)


def test_a_source_is_not_touched_before_its_stream_begins(kit: Kit):
    source = Source()
    kit.streams.open(source, key="k")
    assert kit.streams.count == 0
