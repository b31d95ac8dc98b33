"""The event stream: it survives whatever happens to its connection, and loses and repeats nothing."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from runwright.client.api import AsyncClient
from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, ServerUnreachable, StreamGap, UnexpectedAnswer
from runwright.client.models import Event
from tests.client.both import Connect
from tests.client.local_server import Answer, Request, json_answer, problem, serving

AT_ONCE = Backoff(attempts=4, initial_s=0, max_s=0)


def event(seq: int, type: str = "log", message: str = "") -> dict[str, Any]:
    return {
        "seq": seq,
        "type": type,
        "data": {"n": seq},
        "created_at": "2026-01-01T00:00:00.000001Z",
        "event_id": f"run_1.{seq}",
        "run_id": "run_1",
        "level": "info",
        "message": message,
    }


LOG = [
    event(1, "run.created"),
    event(2, "run.started"),
    event(3, "log", "zwölf × \u2028 \r\n lines"),
    event(4, "run.completed"),
]


def frames(events: Iterable[dict[str, Any]]) -> bytes:
    return b"retry: 0\n\n: hello\n\n" + b"".join(
        b"id: %d\ndata: %b\n\n" % (each["seq"], msgspec.json.encode(each)) for each in events
    )


def sse(body: bytes, *, cut: bool = False) -> Answer:
    return Answer(200, body, {"content-type": "text/event-stream; charset=utf-8"}, cut)


def after(request: Request) -> int:
    seqs = [int(value) for name, value in request.query if name == "after_seq"]
    return max([int(request.headers.get("last-event-id", 0)), *seqs])


def log_server(log: list[dict[str, Any]]) -> Callable[[Request], Answer]:
    """Answer as the server does: the backlog after the cursor; 204 at or past the terminal event."""

    def respond(request: Request) -> Answer:
        rest = [each for each in log if each["seq"] > after(request)]
        return sse(frames(rest)) if rest else Answer(204)

    return respond


async def read(client: AsyncClient, after_seq: int = 0, **options: Any) -> list[dict[str, Any]]:
    stream = client.runs.stream("run_1", after_seq, backoff=AT_ONCE, **options)
    return [each.raw async for each in stream]


@pytest.mark.parametrize("end", ["cut", "clean"])
async def test_a_stream_cut_at_any_byte_and_resumed_gives_exactly_the_same_events(connect: Connect, end):
    whole = len(frames(LOG))
    offset, connections = 0, 0

    def respond(request: Request) -> Answer:
        nonlocal connections
        connections += 1
        rest = [each for each in LOG if each["seq"] > after(request)]
        if not rest:
            return Answer(204)
        body = frames(rest)
        return sse(body[:offset], cut=end == "cut") if connections == 1 else sse(body)

    async with serving(respond) as server, connect(server.url) as client:
        for offset in range(whole + 1):  # noqa: B007 - the server reads it
            connections = 0
            assert await read(client) == LOG


async def test_a_stream_whose_every_connection_is_cut_goes_on_as_long_as_it_gets_one_event(connect: Connect):
    longest = max(len(frames([each])) for each in LOG)

    def respond(request: Request) -> Answer:
        rest = [each for each in LOG if each["seq"] > after(request)]
        return sse(frames(rest)[:longest], cut=True)

    async with serving(respond) as server, connect(server.url) as client:
        assert await read(client) == LOG
        assert len(server.requests) >= len(LOG) - 1


@pytest.mark.parametrize("start", range(5))
async def test_a_stream_begins_after_a_seq(connect: Connect, start):
    async with serving(log_server(LOG)) as server, connect(server.url) as client:
        assert await read(client, start) == LOG[start:]
        assert server.requests[0].headers["last-event-id"] == str(start)
        assert server.requests[0].headers["accept"] == "text/event-stream"


async def test_a_stream_ends_after_the_terminal_event_without_asking_again(connect: Connect):
    async with serving(log_server(LOG)) as server, connect(server.url) as client:
        await read(client)
        assert len(server.requests) == 1


async def test_a_stream_begun_past_the_end_is_empty(connect: Connect):
    async with serving(log_server(LOG)) as server, connect(server.url) as client:
        assert await read(client, 4) == []


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_server_that_refuses_for_now_is_asked_again(connect: Connect, status):
    refusals = [problem(status, "server.overloaded", retry_after="0")] * 3

    def respond(request: Request) -> Answer:
        return refusals.pop() if refusals else log_server(LOG)(request)

    async with serving(respond) as server, connect(server.url) as client:
        assert await read(client) == LOG


async def test_a_server_that_always_refuses_is_given_up(connect: Connect):
    async with serving(lambda _: problem(503, "server.overloaded")) as server, connect(server.url) as client:
        with pytest.raises(ApiError) as refused:
            await read(client)
        assert refused.value.code == "server.overloaded"
        assert len(server.requests) == AT_ONCE.attempts


async def test_a_stream_that_brings_nothing_again_and_again_is_given_up(connect: Connect):
    async with serving(lambda _: sse(b"")) as server, connect(server.url) as client:
        with pytest.raises(ServerUnreachable):
            await read(client)


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_a_refusal_for_good_is_raised_at_once(connect: Connect, status):
    async with serving(lambda _: problem(status, "some.code")) as server, connect(server.url) as client:
        with pytest.raises(ApiError) as refused:
            await read(client)
        assert (refused.value.status, refused.value.code) == (status, "some.code")
        assert len(server.requests) == 1


async def test_repeated_events_are_dropped(connect: Connect):
    twice = [LOG[0], LOG[0], LOG[1], LOG[0], LOG[2], LOG[3]]
    async with serving(lambda _: sse(frames(twice))) as server, connect(server.url) as client:
        assert await read(client) == LOG


async def test_a_gap_is_raised_unless_it_is_allowed(connect: Connect):
    gap = b'event: gap\ndata: {"from_seq":1,"to_seq":2}\n\n'
    async with serving(lambda _: sse(gap + frames(LOG[2:]))) as server, connect(server.url) as client:
        with pytest.raises(StreamGap) as missing:
            await read(client)
        assert (missing.value.first, missing.value.last) == (1, 2)
        assert await read(client, allow_gaps=True) == LOG[2:]


async def test_an_event_that_is_missing_without_a_word_is_a_gap_too(connect: Connect):
    async with serving(lambda _: sse(frames([LOG[0], LOG[2]]))) as server, connect(server.url) as client:
        with pytest.raises(StreamGap) as missing:
            await read(client)
        assert (missing.value.first, missing.value.last) == (2, 2)


async def test_a_reader_that_lagged_goes_on_from_where_it_was(connect: Connect):
    def respond(request: Request) -> Answer:
        if after(request) == 0:
            return sse(frames(LOG[:2]) + b'event: lagged\ndata: {"last_seq":2}\n\n' + frames(LOG))
        return log_server(LOG)(request)

    async with serving(respond) as server, connect(server.url) as client:
        assert await read(client) == LOG
        assert after(server.requests[1]) == 2


async def test_a_filtered_stream_finds_its_end(connect: Connect):
    def respond(request: Request) -> Answer:
        wanted = dict(request.query)["types"].split(",")
        return sse(frames(each for each in LOG if each["type"] in wanted))

    async with serving(respond) as server, connect(server.url) as client:
        assert await read(client, types=("log",)) == [LOG[2]]


@pytest.mark.parametrize("body", [b"data: {}\n\n", b"data: hello\n\n", b"event: gap\ndata: []\n\n"])
async def test_a_frame_that_is_no_event_is_an_unexpected_answer(connect: Connect, body):
    async with serving(lambda _: sse(body)) as server, connect(server.url) as client:
        with pytest.raises(UnexpectedAnswer):
            await read(client)


async def test_a_page_that_is_no_stream_is_given_up(connect: Connect):
    async with serving(lambda _: Answer(200, b"<html>")) as server, connect(server.url) as client:
        with pytest.raises(ServerUnreachable):
            await read(client)


async def test_wait_returns_the_run_once_it_has_ended(connect: Connect):
    def respond(request: Request) -> Answer:
        if request.path.endswith("/stream"):
            return log_server(LOG)(request)
        streamed = any(each.path.endswith("/stream") for each in server.requests)
        state = "completed" if streamed else "executing"
        return json_answer({"id": "run_1", "status": state, "state": state, "last_seq": 2})

    async with serving(respond) as server, connect(server.url) as client:
        run = await client.runs.wait("run_1")
        assert run.finished
        assert after(server.requests[1]) == 2


EXECUTING = json_answer({"id": "run_1", "status": "executing", "state": "executing", "last_seq": 2})
SSE = {"content-type": "text/event-stream"}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"", SSE, drip=b": still here\n\n"),
        Answer(200, b": silence\n\n", SSE, drip=b""),
        sse(b""),
        problem(503, "server.overloaded", retry_after="60"),
    ],
    ids=["comments", "silence", "ends", "refuses"],
)
async def test_wait_gives_up_at_its_deadline_whatever_the_server_sends(connect: Connect, answer: Answer):
    def respond(request: Request) -> Answer:
        return answer if request.path.endswith("/stream") else EXECUTING

    async with serving(respond) as server, connect(server.url) as client:
        with pytest.raises(TimeoutError):
            await client.runs.wait("run_1", timeout_s=0.3)
        server.respond = lambda _: json_answer({"id": "run_1", "status": "completed", "state": "completed"})
        assert (await client.runs.wait("run_1", timeout_s=30)).finished, "the deadline is gone with its block"


@pytest.mark.parametrize("drip", [b"", b" "], ids=["silence", "drops"])
async def test_wait_gives_up_on_an_answer_that_never_ends(connect: Connect, drip: bytes):
    async with serving(lambda _: Answer(200, b"{", drip=drip)) as server, connect(server.url) as client:
        with pytest.raises(TimeoutError):
            await client.runs.wait("run_1", timeout_s=0.3)


def test_events_keep_what_this_version_does_not_know():
    read_event = Event.read(b'{"seq":1,"type":"run.completed","new":[1]}')
    assert read_event.raw == {"seq": 1, "type": "run.completed", "new": [1]}
    assert read_event.terminal
