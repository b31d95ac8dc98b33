"""Artifacts over HTTP: streamed in and out by their digest, each organization seeing its own."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.api.decode import Disconnected, PartsReader
from runwright.api.files import stretch
from runwright.errors import NotFound, RangeNotSatisfiable, TooSlow
from runwright.store.artifacts import PIECE_BYTES
from tests.api.served import Served, ok, refused, serving

MOST = 3 * PIECE_BYTES
BYTES = bytes(range(256)) * (2 * PIECE_BYTES // 256) + b"end"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    directory = tmp_path_factory.mktemp("artifacts")
    async with serving(
        directory,
        worker=("tests.acceptance.handlers:app",),
        artifact_max_bytes=MOST,
        runtime_workspace_max_bytes=1024,
        agent_workspace_max_bytes=1024,
        body_max_bytes=64 * 1024,
        value_inline_max_bytes=0,
    ) as served:
        yield served


def files(served: Served) -> list[Path]:
    folder = served.house.services.settings.data_dir / "artifacts"
    return [path for path in folder.rglob("*") if path.is_file()]


async def in_pieces(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def test_what_is_uploaded_comes_back_by_its_digest(server: Served) -> None:
    made = await ok(server.admin.post("/v1/artifacts", content=in_pieces(BYTES)), 201)
    assert made | {"created_at": None} == {
        "digest": hashlib.sha256(BYTES).hexdigest(),
        "size": len(BYTES),
        "created_at": None,
    }
    got = await server.admin.get(f"/v1/artifacts/{made['digest']}")
    assert (got.status_code, got.content) == (200, BYTES)
    head = await server.admin.head(f"/v1/artifacts/{made['digest']}", headers={"range": "bytes=1-2"})
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(BYTES)))
    for answer in (got, head):
        assert answer.headers["etag"] == f'"{made["digest"]}"'
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_same_bytes_again_are_the_same_artifact_whatever_their_type(server: Served) -> None:
    first = await ok(server.admin.post("/v1/artifacts", json={"a": 1}), 201)
    before = files(server)
    again = await ok(server.admin.post("/v1/artifacts", content=b'{"a":1}', headers={"content-type": "text/x"}), 200)
    assert again == first
    assert files(server) == before


async def test_nothing_is_an_artifact_too(server: Served) -> None:
    made = await ok(server.admin.post("/v1/artifacts"), 201)
    assert made["size"] == 0
    assert (await server.admin.get(f"/v1/artifacts/{made['digest']}")).content == b""


async def test_what_is_too_large_is_refused_before_or_while_it_is_read_and_leaves_nothing(server: Served) -> None:
    before = files(server)
    for content in (bytes(MOST + 1), in_pieces(bytes(MOST + 1))):
        await refused(server.admin.post("/v1/artifacts", content=content), 413, "request.too_large")
    packed = server.admin.post("/v1/artifacts", content=b"x", headers={"content-encoding": "gzip"})
    await refused(packed, 415, "request.unsupported_media")
    assert files(server) == before
    await ok(server.admin.post("/v1/artifacts", content=bytes(MOST)), 201)


async def test_an_upload_that_is_cut_in_the_middle_leaves_nothing(server: Served) -> None:
    before = files(server)
    received = asyncio.Event()
    token = server.admin_token.encode()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not received.is_set():
            received.set()
            return {"type": "http.request", "body": bytes(2 * PIECE_BYTES), "more_body": True}
        assert len(files(server)) == len(before) + 1, "a piece is on disk, not in memory"
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/artifacts",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer " + token)],
        "client": None,
    }
    await server.house.app(scope, receive, send)
    assert (files(server), sent) == (before, [])


async def test_a_body_that_drips_is_given_up_and_one_that_flows_is_not() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.get_running_loop().create_future()
        return {}

    with pytest.raises(TooSlow):
        await anext(PartsReader(10, within_s=0.01, pace_bytes=1).read({}, never))

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(Disconnected):
        await anext(PartsReader(10, within_s=10, pace_bytes=1).read({}, gone))


async def test_another_organization_and_another_project_do_not_see_it(server: Served) -> None:
    made = await ok(server.admin.post("/v1/artifacts", content=b"ours"), 201)
    path = f"/v1/artifacts/{made['digest']}"
    theirs = await server.neighbour()
    unseen = await theirs.get(path)
    assert unseen.json()["message"] == NotFound("artifact", made["digest"]).detail
    await refused(theirs.get(path), 404, "artifacts.not_found")
    count = len(files(server))
    await ok(theirs.post("/v1/artifacts", content=b"ours"), 201)
    assert (await theirs.get(path)).content == b"ours"
    assert len(files(server)) == count, "one file for both"
    other = await ok(server.admin.post("/v1/projects", json={"slug": "apart"}), 201)
    bound = await server.key("runs:read", "runs:write", project_id=other["id"])
    await refused(bound.get(path), 404, "artifacts.not_found")
    await ok(bound.post("/v1/artifacts", content=b"ours"), 201)
    await ok(bound.post("/v1/artifacts", content=b"ours"), 200)
    assert (await bound.get(path)).content == b"ours"
    apart = await ok(server.admin.post("/v1/artifacts?project_id=apart", content=b"apart"), 201)
    assert (await bound.get(f"/v1/artifacts/{apart['digest']}")).content == b"apart"


async def test_reading_and_writing_need_their_scopes(server: Served) -> None:
    made = await ok(server.admin.post("/v1/artifacts", content=b"scoped"), 201)
    reader, writer = await server.key("runs:read"), await server.key("runs:write")
    await refused(reader.post("/v1/artifacts", content=b"scoped"), 403, "auth.missing_scope")
    await refused(writer.get(f"/v1/artifacts/{made['digest']}"), 403, "auth.missing_scope")


async def test_who_has_the_bytes_is_not_sent_them_again(server: Served) -> None:
    made = await ok(server.admin.post("/v1/artifacts", content=b"known"), 201)
    path, tag = f"/v1/artifacts/{made['digest']}", f'"{made["digest"]}"'
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        held = await server.admin.get(path, headers={"if-none-match": header, "range": "bytes=0-1"})
        assert (held.status_code, held.content, held.headers["etag"]) == (304, b"", tag)
    assert (await server.admin.get(path, headers={"if-none-match": '"other"'})).content == b"known"
    ranged = {"range": "bytes=0-1", "if-range": tag}
    assert (await server.admin.get(path, headers=ranged)).content == b"kn"
    assert (await server.admin.get(path, headers=ranged | {"if-range": '"other"'})).content == b"known"


async def test_a_range_behind_the_end_is_416_and_several_are_the_whole(server: Served) -> None:
    made = await ok(server.admin.post("/v1/artifacts", content=b"0123456789"), 201)
    path = f"/v1/artifacts/{made['digest']}"
    for asked in ("bytes=10-", "bytes=-0", f"bytes={'9' * 400}-"):
        answer = await server.admin.get(path, headers={"range": asked})
        assert (answer.status_code, answer.json()["code"]) == (416, "request.range_not_satisfiable")
        assert answer.headers["content-range"] == "bytes */10"
    for asked in ("bytes=0-1,3-4", "bytes=0-1, 3-4", "lines=0-1", "bytes=3-2", "bytes=-", "bytes=a-b", "bytes", ""):
        answer = await server.admin.get(path, headers={"range": asked})
        assert (answer.status_code, answer.content) == (200, b"0123456789"), asked


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=20), first=st.none() | st.integers(0, 25), last=st.none() | st.integers(0, 25))
def test_a_range_is_what_slicing_gives(data: bytes, first: int | None, last: int | None) -> None:
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    nothing = first is not None and first >= len(data)
    malformed = (first is None and last is None) or (first is not None and last is not None and last < first)
    if not malformed and (nothing or (first is None and last == 0)):
        with pytest.raises(RangeNotSatisfiable):
            stretch(asked, len(data))
        return
    span = stretch(asked, len(data))
    if malformed or (first is None and not data):
        assert span is None
        return
    assert span is not None
    wanted = data[-(last or 0) :] if first is None else data[first : None if last is None else last + 1]
    assert data[slice(*span)] == wanted
    assert 0 <= span[0] < span[1] <= len(data)


async def test_ranges_of_a_large_artifact_are_its_slices(server: Served) -> None:
    made = await ok(server.admin.post("/v1/artifacts", content=in_pieces(BYTES[1:])), 201)
    data, size = BYTES[1:], made["size"]
    edge = PIECE_BYTES
    for first, stop in ((0, 1), (edge - 1, edge + 1), (5, 2 * edge + 1), (size - 1, size), (0, size)):
        answer = await server.admin.get(
            f"/v1/artifacts/{made['digest']}", headers={"range": f"bytes={first}-{stop - 1}"}
        )
        assert (answer.status_code, answer.content == data[first:stop]) == (206, True)
        assert answer.headers["content-range"] == f"bytes {first}-{stop - 1}/{size}"


async def test_a_file_that_was_cut_on_disk_is_an_error_and_not_other_bytes(server: Served) -> None:
    made = await ok(server.admin.post("/v1/artifacts", content=b"will be cut"), 201)
    place = next(path for path in files(server) if made["digest"].endswith(path.name))
    place.write_bytes(b"will")
    await refused(server.admin.get(f"/v1/artifacts/{made['digest']}"), 500, "store.error")


async def ended(served: Served) -> str:
    """Make a run that has ended, all of whose values lie in artifacts."""
    await served.admin.post("/v1/jobs", json={"slug": "works", "handler": "works"})
    run = await ok(served.admin.post("/v1/jobs/works/trigger", json={"payload": {"a": 1}}), 201)
    await served.ended(run["id"])
    return str(run["id"])


async def test_a_run_lists_what_its_values_lie_in_and_none_of_it_is_served_raw(server: Served) -> None:
    run_id = await ended(server)
    rows = await ok(server.admin.get(f"/v1/runs/{run_id}/artifacts"))
    assert {"output", "checkpoint"} <= {row["kind"] for row in rows}
    pages: list[Any] = []
    url: httpx2.URL | str | None = f"/v1/runs/{run_id}/artifacts?limit=1"
    while url:
        page = await server.admin.get(url)
        pages += page.json()
        url = page.links["next"]["url"] if page.links else None
    assert pages == rows
    theirs = await server.neighbour("others")
    for row in rows:
        assert (row["run_id"], row["sealed"]) == (run_id, True)
        place = next(path for path in files(server) if row["digest"].endswith(path.name))
        assert row["size"] == place.stat().st_size
        await refused(server.admin.get(f"/v1/artifacts/{row['digest']}"), 409, "artifacts.sealed")
        await refused(theirs.get(f"/v1/artifacts/{row['digest']}"), 404, "artifacts.not_found")
    await refused(theirs.get(f"/v1/runs/{run_id}/artifacts"), 404, "runs.not_found")
    await ok(server.admin.post(f"/v1/runs/{run_id}/erase"))
    await refused(server.admin.get(f"/v1/runs/{run_id}/artifacts"), 410, "runs.erased")
    await refused(server.admin.get(f"/v1/artifacts/{rows[0]['digest']}"), 404, "artifacts.not_found")
    assert not [path for path in files(server) if any(row["digest"].endswith(path.name) for row in rows)]


async def test_a_page_of_values_reads_no_value_that_it_does_not_show(server: Served) -> None:
    run_id = await ended(server)
    values = await ok(server.admin.get(f"/api/v1/runs/{run_id}/artifacts"))
    lying = {row["key"]: row["digest"] for row in await ok(server.admin.get(f"/v1/runs/{run_id}/artifacts"))}
    place = max(place for place, row in enumerate(values) if row["key"] in lying)
    next(path for path in files(server) if lying[values[place]["key"]].endswith(path.name)).unlink()
    page = await server.admin.get(f"/api/v1/runs/{run_id}/artifacts", params={"limit": place})
    assert (page.status_code, page.json()) == (200, values[:place]), "the value whose file is gone is beyond the page"
    assert (await server.admin.get(page.links["next"]["url"])).status_code == 404
