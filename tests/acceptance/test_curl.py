"""Everything by curl alone: whoever has nothing else can start, follow, lose and find a run."""

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from typing import Any

import pytest

from tests.acceptance.frames import event_bytes, events, frames, seqs
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.speech import unique

pytestmark = pytest.mark.xdist_group("acceptance-streams")
KEY = f"Authorization: Bearer {API_KEY}"


@pytest.fixture(scope="module")
def database_kind() -> str:
    """Name one database: what curl reads are the bytes that `test_streams` compares on both."""
    return "sqlite"


async def curl(*words: str) -> Process:
    return await asyncio.create_subprocess_exec("curl", "-sS", "-N", "-H", KEY, *words, stdout=PIPE, stderr=PIPE)


async def ask(*words: str) -> tuple[int, str]:
    process = await curl("-w", "\n%{http_code}", *words)
    out, err = await process.communicate()
    assert process.returncode == 0, err
    body, _, status = out.decode().rpartition("\n")
    return int(status), body


async def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = await ask("-H", "Content-Type: application/json", "-d", json.dumps(body), url)
    assert status == 201, answer
    made: dict[str, Any] = json.loads(answer)
    return made


async def read_until(process: Process, count: int) -> bytes:
    """Read a stream until it holds so many whole events."""
    assert process.stdout is not None
    raw = b""
    while len(events(raw)) < count:
        part = await process.stdout.read(97)
        assert part, raw
        raw += part
    return raw


async def test_curl_alone_starts_follows_cuts_and_resumes_a_run(server: LiveServer, gate: Gate):
    job = await post(f"{server.url}/v1/jobs", {"slug": unique("by-curl"), "handler": "talk"})
    run = await post(f"{server.url}/v1/jobs/{job['slug']}/trigger", {"payload": {"lines": 5, "gate": gate.port}})
    url = f"{server.url}/v1/runs/{run['id']}/events"

    stream = await curl("-H", "Accept: text/event-stream", url)
    first = await read_until(stream, 4)
    stream.kill()
    await stream.wait()

    seen = event_bytes(first)
    last = events(first)[-1]["seq"]
    assert first.startswith(b"retry: 2000\n\n")
    assert seqs(events(first)) == list(range(1, last + 1))

    gate.open()
    status, rest = await ask("-H", "Accept: text/event-stream", "-H", f"Last-Event-ID: {last}", url)
    assert status == 200
    assert events(rest.encode() + b"\n")[0]["seq"] == last + 1
    assert events(rest.encode() + b"\n")[-1]["type"] == "run.completed"
    _, whole = await ask("-H", "Accept: text/event-stream", url)
    assert seen + event_bytes(rest.encode() + b"\n") == event_bytes(whole.encode() + b"\n")
    assert frames(rest.encode() + b"\n")[-1].data["type"] == "run.completed", "nothing comes after the end"

    end = events(rest.encode() + b"\n")[-1]["seq"]
    status, body = await ask("-H", "Accept: text/event-stream", "-H", f"Last-Event-ID: {end}", url)
    assert (status, body) == (204, "")


async def test_curl_reads_the_same_events_as_json(server: LiveServer):
    job = await post(f"{server.url}/v1/jobs", {"slug": unique("by-curl"), "handler": "talk"})
    run = await post(f"{server.url}/v1/jobs/{job['id']}/trigger", {"payload": {"lines": 2}})
    url = f"{server.url}/v1/runs/{run['id']}/events"
    _, streamed = await ask("-H", "Accept: text/event-stream", url)
    status, listed = await ask(url)
    assert status == 200
    shown = [{name: event[name] for name in ("seq", "type", "data", "created_at")} for event in json.loads(listed)]
    assert shown == [
        {name: event[name] for name in ("seq", "type", "data", "created_at")}
        for event in events(streamed.encode() + b"\n")
    ]


async def test_curl_is_told_in_one_shape_what_was_wrong(server: LiveServer):
    status, body = await ask("-X", "POST", f"{server.url}/v1/jobs", "-d", "{}")
    assert status == 415, "curl's -d says that it is a form"
    status, body = await ask("-H", "Content-Type: application/json", "-d", '{"slug":', f"{server.url}/v1/jobs")
    problem = json.loads(body)
    assert (status, problem["code"]) == (422, "request.invalid")
    assert set(problem) == {"error", "code", "message", "request_id", "trace_id", "details"}


async def test_curl_triggers_without_a_body_or_a_content_type(server: LiveServer):
    job = await post(f"{server.url}/v1/jobs", {"slug": unique("by-curl"), "handler": "echo"})
    status, body = await ask("-X", "POST", f"{server.url}/v1/jobs/{job['id']}/trigger")
    assert (status, json.loads(body)["payload"]) == (201, {})
