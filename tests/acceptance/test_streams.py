"""Streams over the wire: cut anywhere, resumed anywhere, read by many, they are the same bytes."""

import asyncio
import re
from itertools import pairwise

import pytest
from jsonschema_rs import Draft202012Validator

from tests.acceptance.contract import ContractClient
from tests.acceptance.frames import event_bytes, events, frames, seqs
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.speech import SSE, Json, Speech, refused, said

pytestmark = pytest.mark.xdist_group("acceptance-streams")

LINES = 6


@pytest.fixture(scope="module")
async def told(admin: ContractClient) -> Json:
    """Return a run that has ended and left some events behind."""
    api = Speech(admin)
    return await api.done(await api.job("talk"), {"lines": LINES})


async def raw_request(
    server: LiveServer, path: str, *headers: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request over a bare socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [f"GET {path} HTTP/1.1", "host: test", f"authorization: Bearer {API_KEY}", *headers, "connection: close"]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    return reader, writer


def unchunked(raw: bytes) -> bytes:
    """Return what is there of a chunked body, its last chunk cut anywhere."""
    _, _, rest = raw.partition(b"\r\n\r\n")
    body = b""
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        if not re.fullmatch(rb"[0-9a-fA-F]+", size):
            break
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


async def test_a_stream_resumed_at_every_seq_gives_exactly_the_rest(api: Speech, told: Json):
    whole = await api.stream(told["id"])
    blocks = [block + b"\n\n" for block in whole.split(b"\n\n")[:-1]]
    assert seqs(events(whole)) == list(range(1, told["last_seq"] + 1))
    for cut in range(len(blocks) + 1):
        rest = b"".join(blocks[cut:])
        assert await api.stream(told["id"], after_seq=cut) == rest
        assert await api.stream(told["id"], last=cut) == rest
        assert await api.stream(told["id"], path="events", last=cut) == rest


async def test_scenario_2_a_stream_cut_at_any_byte_and_resumed_is_the_same_bytes(
    server: LiveServer, api: Speech, told: Json
):
    whole = await api.stream(told["id"])
    path = f"/v1/runs/{told['id']}/stream"
    reader, writer = await raw_request(server, path)
    answer = await reader.read()
    writer.close()
    for cut in range(0, len(answer), 61):
        kept = event_bytes(unchunked(answer[:cut]))
        last = events(kept)[-1]["seq"] if kept else 0
        assert kept + await api.stream(told["id"], last=last) == whole


async def test_appendix_c_10_a_live_stream_cut_and_resumed_again_and_again_misses_nothing(
    server: LiveServer, api: Speech, gate: Gate
):
    run = await api.trigger(await api.job("stages"), {"stages": 6, "gate": gate.port})
    path = f"/v1/runs/{run['id']}/stream"
    collected, last = b"", 0
    for stage in range(6):
        await gate.arrived(word=f"stage {stage}")
        reader, writer = await raw_request(server, path, f"last-event-id: {last}")
        raw = b""
        while not any(event["type"] == "checkpoint.saved" for event in events(unchunked(raw))):
            raw += await reader.read(17)
        writer.transport.abort()
        collected += event_bytes(unchunked(raw))
        last = events(collected)[-1]["seq"]
        gate.open(f"stage {stage}")
    collected += await api.stream(run["id"], last=last)
    assert collected == await api.stream(run["id"])


async def test_both_paths_and_both_ways_to_resume_are_one_stream(api: Speech, told: Json):
    one = await api.raw_stream(told["id"], path="stream", after_seq=3)
    assert one == await api.raw_stream(told["id"], path="events", after_seq=3)
    assert one == await api.raw_stream(told["id"], path="events", last=3)
    assert one.startswith(b"retry: 2000\n\n")


@pytest.mark.parametrize(("after_seq", "last"), [(2, 5), (5, 2), (5, 5), (0, 5), (5, 0)])
async def test_the_larger_of_after_seq_and_last_event_id_counts(api: Speech, told: Json, after_seq: int, last: int):
    raw = await api.stream(told["id"], after_seq=after_seq, last=last)
    assert seqs(events(raw))[0] == 6


async def test_an_event_is_shown_as_the_seed_shows_it(api: Speech, told: Json):
    first = frames(await api.stream(told["id"]))[0]
    assert set(first.fields) == {"id", "data"}, "no event: line, so that onmessage fires"
    assert set(first.data) == {"seq", "type", "data", "created_at", "event_id", "run_id", "level", "message"}
    assert (first.data["type"], first.data["event_id"]) == ("run.created", f"{told['id']}.1")


async def test_named_adds_the_type_as_the_frame_s_event(api: Speech, told: Json):
    plain, named = frames(await api.stream(told["id"])), frames(await api.stream(told["id"], named="true"))
    assert [frame.data for frame in named] == [frame.data for frame in plain]
    assert all(frame.fields["event"] == frame.data["type"] for frame in named)


async def test_types_let_through_only_what_they_name(api: Speech, told: Json):
    for path in ("stream", "events"):
        raw = await api.stream(told["id"], path=path, types="log, run.completed")
        assert {event["type"] for event in events(raw)} == {"log", "run.completed"}
        assert len(events(raw)) == 2 * LINES + 1
    whole = events(await api.stream(told["id"]))
    assert [event for event in whole if event["type"] in ("log", "run.completed")] == events(raw)
    await refused(
        api.client.get(f"/v1/runs/{told['id']}/stream", params={"types": "log,nonsense"}), 422, "request.invalid"
    )


async def test_the_json_list_and_the_stream_are_one_log(api: Speech, told: Json):
    listed = await api.events(told["id"])
    streamed = events(await api.stream(told["id"]))
    assert [{**event, "id": event["event_id"], "erased": False} for event in streamed] == [
        {**event, "event_id": event["id"]} for event in listed
    ]
    assert all(before["created_at"] <= after["created_at"] for before, after in pairwise(listed))


async def test_a_json_list_filters_by_level_and_type_and_pages(api: Speech, told: Json):
    listed = await api.events(told["id"])
    assert await api.events(told["id"], level="warning") == [each for each in listed if each["level"] == "warning"]
    assert await api.events(told["id"], type="log") == [each for each in listed if each["type"] == "log"]
    assert await api.events(told["id"], after_seq=4) == listed[4:]
    path = f"/v1/runs/{told['id']}/events"
    assert await api.listed(path, limit=3) == listed
    assert await api.listed(path, limit=2, type="log") == [each for each in listed if each["type"] == "log"]
    assert await said(api.client.get(path, params={"cursor": listed[3]["id"]})) == listed[4:]
    assert await said(api.client.get(path, params={"before": listed[3]["id"]})) == listed[4:]


async def test_an_instant_is_a_cursor_of_events_too(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("talk"), {"lines": 1, "gate": gate.port})
    await gate.arrived()
    gate.open()
    await api.ended(run["id"])
    listed = await api.events(run["id"])
    place = max(i for i, event in enumerate(listed[:-1]) if event["created_at"] < listed[-1]["created_at"])
    rest = await api.events(run["id"], cursor=listed[place]["created_at"])
    assert rest == [event for event in listed if event["created_at"] > listed[place]["created_at"]]


@pytest.mark.parametrize("cursor", ["", "7", "run_x.7", "2026-13-01T00:00:00Z", "-1"])
async def test_a_foreign_cursor_of_events_is_refused(api: Speech, told: Json, cursor: str):
    path = f"/v1/runs/{told['id']}/events"
    await refused(api.client.get(path, params={"cursor": cursor}), 422, "cursor.invalid")


async def test_the_cursor_of_another_run_is_refused(api: Speech, told: Json):
    other = await api.done(await api.job("echo"))
    path = f"/v1/runs/{told['id']}/events"
    await refused(api.client.get(path, params={"cursor": f"{other['id']}.1"}), 422, "cursor.invalid")


async def test_without_follow_a_stream_ends_after_what_is_there(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("talk"), {"lines": 2, "gate": gate.port})
    await gate.arrived()
    for path in ("stream", "events"):
        there = events(await api.stream(run["id"], path=path, follow="false"))
        assert seqs(there) == list(range(1, len(there) + 1))
        assert there[-1]["type"] == "checkpoint.saved"
        assert await api.stream(run["id"], path=path, follow="false", after_seq=len(there)) == b""


async def test_appendix_c_10_a_stream_at_or_past_the_end_is_204_and_before_it_is_not(api: Speech, told: Json):
    end = told["last_seq"]
    for path in ("stream", "events"):
        for last in (end, end + 1, 10**17):
            answer = await api.client.get(f"/v1/runs/{told['id']}/{path}", headers={**SSE, "last-event-id": str(last)})
            assert (answer.status_code, answer.content) == (204, b"")
        assert seqs(events(await api.stream(told["id"], path=path, last=end - 1))) == [end]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 19, "0x1"])
async def test_a_last_event_id_that_is_no_seq_is_refused(api: Speech, told: Json, last: str):
    path = f"/v1/runs/{told['id']}/stream"
    details = await refused(api.client.get(path, headers={"last-event-id": last}), 422, "request.invalid")
    assert details["fields"][0]["path"] == "Last-Event-ID"


@pytest.mark.parametrize("after_seq", ["x", "-1", "1.5", "", str(10**18), str(2**64), str(10**30)])
async def test_an_after_seq_that_is_no_seq_is_refused(api: Speech, told: Json, after_seq: str):
    for path in ("stream", "events"):
        answer = await api.client.get(f"/v1/runs/{told['id']}/{path}", params={"after_seq": after_seq})
        assert answer.status_code == 422, answer.text


async def test_many_readers_of_one_run_read_the_same_bytes(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("talk"), {"lines": 20, "gate": gate.port})
    await gate.arrived()
    early = [asyncio.create_task(api.stream(run["id"])) for _ in range(30)]
    late = [asyncio.create_task(api.stream(run["id"], after_seq=seq)) for seq in range(20)]
    await api.until(run["id"], "checkpoint.saved")
    gate.open()
    whole = await api.stream(run["id"])
    assert set(await asyncio.gather(*early)) == {whole}
    for seq, raw in enumerate(await asyncio.gather(*late)):
        assert raw == b"".join(block + b"\n\n" for block in whole.split(b"\n\n")[seq:-1])


async def test_a_silent_stream_is_kept_alive_by_comments(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    raw = b""
    async with api.client.stream("GET", f"/v1/runs/{run['id']}/stream", headers=SSE) as response:
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["content-type"].startswith("text/event-stream")
        async for part in response.aiter_raw():
            raw += part
            if raw.count(b": keepalive\n\n") == 3:
                break
    assert seqs(events(raw)) == [1, 2]


async def test_a_stream_ends_when_its_key_is_revoked(server: LiveServer, api: Speech, gate: Gate):
    key = await api.key("runs:read")
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    reader = Speech(server.client(key["token"]))
    async with reader.following(run["id"]) as found:
        assert (await anext(found))["seq"] == 1
        await said(api.client.delete(f"/v1/keys/{key['id']}"))
        assert [event["type"] async for event in found] == ["run.started"]
    answer = await reader.client.get(f"/v1/runs/{run['id']}")
    assert answer.status_code == 401


async def test_head_of_a_stream_has_its_headers_and_no_body(api: Speech, told: Json):
    answer = await api.client.head(f"/v1/runs/{told['id']}/stream")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_the_schema_of_every_event_s_data_is_published_and_holds(api: Speech, told: Json):
    schemas = await said(api.client.get("/v1/schemas/events"))
    for event in await api.events(told["id"]):
        Draft202012Validator(schemas[event["type"]]).validate(event["data"])
