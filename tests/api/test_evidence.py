"""Evidence over HTTP: both forms, three profiles, under every address; and the keys that sign it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runwright.governance.verifier.verify import verify
from tests.api.served import RUN, Served, ok, refused, serving

PATHS = ("/api/v1/runs/{}/evidence", "/api/v1/runtime/runs/{}/evidence", "/v1/runs/{}/evidence")


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("evidence"), worker=("tests.acceptance.handlers:app",)) as served:
        for slug in ("echo", "works", "nap"):
            await served.admin.post("/v1/jobs", json={"slug": slug, "handler": slug})
        yield served


async def ended(served: Served, job: str = "works") -> str:
    """Make a run that has ended."""
    run = await ok(served.admin.post(f"/v1/jobs/{job}/trigger", json={"payload": {"a": 1}, "tags": {"t": "x"}}), 201)
    await served.ended(run["id"])
    return str(run["id"])


async def taken(client: httpx2.AsyncClient, run_id: str, **params: Any) -> bytes:
    """Return the zip of a run."""
    response = await client.get(f"/api/v1/runs/{run_id}/evidence", params={"format": "zip", **params})
    assert response.status_code == 200, response.text
    return response.content


async def key(served: Served) -> str:
    """Return the fingerprint of the key that signs."""
    keys = (await ok(served.client(None).get("/.well-known/runwright-keys.json")))["keys"]
    assert sha256(bytes.fromhex(keys[-1]["public_key"])).hexdigest() == keys[-1]["key_id"]
    return str(keys[-1]["key_id"])


def files(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def test_a_run_that_has_ended_gives_the_same_bytes_each_time_and_they_verify(server: Served, tmp_path: Path):
    run_id = await ended(server)
    data = await taken(server.admin, run_id)
    assert await taken(server.admin, run_id) == data
    path = tmp_path / "bundle.zip"
    path.write_bytes(data)
    report = verify(str(path), await key(server))
    assert (report.problems, report.code) == ([], 0)
    told = report.manifest
    assert (told["run"]["run_id"], told["run"]["state"], told["sealed"]) == (run_id, "completed", True)
    events = await ok(server.admin.get(f"/v1/runs/{run_id}/events"))
    lines = [json.loads(line) for line in files(data)["timeline.ndjson"].splitlines()]
    same = ("seq", "type", "message", "data", "level")
    assert [[line[name] for name in same] for line in lines] == [[event[name] for name in same] for event in events]


@pytest.mark.parametrize("path", PATHS)
async def test_every_address_answers_by_accept_and_by_format(server: Served, path: str):
    run_id = await ended(server, "echo")
    plain = await server.admin.get(path.format(run_id))
    by_accept = await server.admin.get(path.format(run_id), headers={"accept": "application/zip"})
    by_format = await server.admin.get(path.format(run_id), params={"format": "zip"})
    assert plain.headers["content-type"] == "application/json"
    assert by_accept.headers["content-type"] == by_format.headers["content-type"] == "application/zip"
    assert by_accept.content == by_format.content
    assert by_format.headers["content-disposition"] == f'attachment; filename="{run_id}.evidence.zip"'
    assert plain.headers["content-disposition"] == f'attachment; filename="{run_id}.evidence.json"'
    told = plain.json()
    assert {"timeline", "integrity", "redaction", "findings", "artifacts"} <= told.keys()
    assert [event["seq"] for event in told["timeline"]["events"]] == list(range(1, told["timeline"]["count"] + 1))
    assert sha256(files(by_format.content)["timeline.ndjson"]).hexdigest() == told["timeline"]["sha256"]


async def test_a_range_and_an_etag_are_followed(server: Served):
    run_id = await ended(server)
    path = f"/api/v1/runs/{run_id}/evidence?format=zip"
    whole = await server.admin.get(path)
    part = await server.admin.get(path, headers={"range": "bytes=100-299"})
    held = await server.admin.get(path, headers={"if-none-match": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, whole.content[100:300])
    assert (held.status_code, held.content) == (304, b"")
    await refused(
        server.admin.get(path.removeprefix("/api"), headers={"range": "bytes=99999999-"}),
        416,
        "request.range_not_satisfiable",
    )


async def test_profiles_withhold_data_and_verify_against_the_same_root(server: Served, tmp_path: Path):
    run_id = await ended(server)
    roots = set()
    for profile in ("full", "auditor", "public"):
        data = await taken(server.admin, run_id, profile=profile)
        path = tmp_path / f"{profile}.zip"
        path.write_bytes(data)
        report = verify(str(path), await key(server))
        assert (profile, report.problems, report.code) == (profile, [], 0)
        roots.add(report.manifest["log"]["root"])
        lines = [json.loads(line) for line in files(data)["timeline.ndjson"].splitlines()]
        withheld = [line["type"] for line in lines if "withheld" in line]
        if profile == "full":
            assert withheld == []
        elif profile == "auditor":
            assert "run.completed" not in withheld
            assert "output.saved" in withheld
        else:
            assert len(withheld) == len(lines)
        assert any(name.startswith("artifacts/") for name in files(data)) is (profile == "full")
    assert len(roots) == 1


async def test_who_may_only_read_runs_gets_what_is_public(server: Served):
    run_id = await ended(server)
    reader = await server.key("runs:read")
    assert (await ok(reader.get(f"/v1/runs/{run_id}/evidence")))["profile"] == "public"
    for profile in ("full", "auditor"):
        path = f"/v1/runs/{run_id}/evidence?profile={profile}"
        assert await refused(reader.get(path), 403, "evidence.profile_forbidden") == {
            "scope": "evidence:export",
            "profile": profile,
        }
        response = await reader.get(f"/api{path}")
        assert (response.status_code, response.json()["error"]["code"]) == (403, "PROFILE_FORBIDDEN")
    exporter = await server.key("runs:read", "evidence:export")
    assert (await ok(exporter.get(f"/v1/runs/{run_id}/evidence")))["profile"] == "full"


async def test_a_run_of_others_is_not_there(server: Served):
    run_id = await ended(server)
    other = await server.neighbour("others")
    for path in PATHS:
        response = await other.get(path.format(run_id))
        assert response.status_code == 404
    response = await other.get(f"/api/v1/runs/{run_id}/evidence")
    assert response.json()["error"]["code"] == "RUN_NOT_FOUND"


async def test_a_run_that_goes_on_gives_a_prefix_whose_head_the_later_bundle_holds(server: Served, tmp_path: Path):
    run = await ok(server.admin.post("/v1/jobs/nap/trigger", json={"payload": {"secs": 600}}), 201)
    await server.seen(run["id"], lambda run: run["state"] == "executing", RUN)
    early, late = tmp_path / "early.zip", tmp_path / "late.zip"
    early.write_bytes(await taken(server.admin, run["id"]))
    first = verify(str(early), await key(server))
    assert (first.problems, first.code, first.manifest["sealed"]) == ([], 0, False)
    await ok(server.admin.delete(f"/v1/runs/{run['id']}"))
    await server.ended(run["id"])
    late.write_bytes(await taken(server.admin, run["id"]))
    then = verify(str(late), await key(server))
    assert (then.problems, then.code, then.manifest["sealed"]) == ([], 0, True)
    heads = json.loads(files(late.read_bytes())["chain.json"])["earlier_heads"]
    assert [(head["size"], head["root"]) for head in heads] == [
        (first.manifest["log"]["size"], first.manifest["log"]["root"])
    ]


async def test_an_erased_run_still_verifies_and_says_what_is_gone(server: Served, tmp_path: Path):
    run_id = await ended(server)
    path = tmp_path / "bundle.zip"
    before = files(await taken(server.admin, run_id))
    await ok(server.admin.post(f"/v1/runs/{run_id}/erase"))
    path.write_bytes(await taken(server.admin, run_id))
    report = verify(str(path), await key(server))
    assert (report.problems, report.code) == ([], 0)
    assert report.manifest["log"] == json.loads(before["manifest.json"])["log"]
    after = files(path.read_bytes())
    told = json.loads(after["redaction.json"])["events"]
    assert told["withheld"]["erased"] == told["total"]
    assert not any(name.startswith("artifacts/") for name in after)
    assert [json.loads(line)["action"] for line in after["audit.ndjson"].splitlines()][-1] == "run.erased"


async def test_a_rotated_key_signs_from_then_on_and_the_old_heads_stay(server: Served, tmp_path: Path):
    run_id, old = await ended(server), await key(server)
    path = tmp_path / "bundle.zip"
    await taken(server.admin, run_id)
    made = await ok(server.admin.post("/v1/signing-keys/rotate"), 201)
    assert made["key_id"] == await key(server) != old
    path.write_bytes(await taken(server.admin, run_id))
    report = verify(str(path), made["key_id"])
    assert (report.problems, report.code) == ([], 0)
    assert verify(str(path), old).code == 1
    assert json.loads(files(path.read_bytes())["chain.json"])["tree_head"]["key_id"] == old
    reader = await server.key("runs:read")
    await refused(reader.post("/v1/signing-keys/rotate"), 403, "auth.missing_scope")
    entry = (await ok(server.admin.get("/v1/audit", params={"action": "signing_key.rotated"})))[0]
    assert entry["target"] == made["key_id"]


async def test_an_export_is_told_in_the_audit_log_and_changes_nothing(server: Served):
    run_id = await ended(server)
    for _ in range(2):
        await taken(server.admin, run_id, profile="auditor")
    told = await ok(server.admin.get("/v1/audit", params={"target": run_id, "order": "asc"}))
    assert [entry["action"] for entry in told] == ["evidence.signed", "evidence.exported", "evidence.exported"]
    assert told[-1]["data"] == {"profile": "auditor", "format": "zip", "seq": told[0]["data"]["size"]}
    assert (await ok(server.admin.get("/v1/audit/verify")))["whole"]


async def test_values_of_a_run_are_files_with_range_and_etag(server: Served):
    run_id = await ended(server, "echo")
    rows = await ok(server.admin.get(f"/api/v1/runs/{run_id}/artifacts"))
    assert {row["kind"] for row in rows} >= {"payload", "result"}
    assert rows == await ok(server.admin.get(f"/api/v1/runtime/runs/{run_id}/artifacts"))
    for row in rows:
        whole = await server.admin.get(row["href"])
        assert sha256(whole.content).hexdigest() == row["sha256"] == whole.headers["etag"].strip('"')
        part = await server.admin.get(row["href"], headers={"range": "bytes=1-2"})
        assert (part.status_code, part.content) == (206, whole.content[1:3])
    listed = (await ok(server.admin.get(f"/api/v1/runs/{run_id}/evidence")))["artifacts"]
    assert {row["artifact_id"] for row in listed} == {row["artifact_id"] for row in rows}
    for odd in (f"{run_id}.payload.x", f"{run_id}.nothing", "run_x.payload", run_id, f"{run_id}.output.~"):
        response = await server.admin.get(f"/api/v1/runs/{run_id}/artifacts/{odd}")
        assert response.status_code == 404, odd
