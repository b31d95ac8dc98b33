"""`runwright evidence`: a bundle comes whole or not at all, and is verified without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runwright.client.artifacts import PIECE_BYTES
from tests.cli.conftest import Call, Script
from tests.client.local_server import Answer, Request, json_answer
from tests.governance.bundles import bundle, files_of, lived, signer, zipped

RUN = "/api/v1/runs/run_1"
KEY: dict[str, Any] = {
    "key_id": "f" * 64,
    "algorithm": "ed25519",
    "public_key": "0" * 64,
    "since": "2026-01-01T00:00:00Z",
    "until": None,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.zip"
    path.write_bytes(bundle(lived()))
    return path


def test_a_bundle_is_written_to_a_file_in_the_profile_that_is_asked_for(
    call_server: Call, script: Script, tmp_path: Path
):
    script.on("GET", f"{RUN}/evidence", Answer(200, b"bytes"))
    output = tmp_path / "got.zip"
    assert call_server("evidence", "export", "run_1", "--output", str(output), "--profile", "auditor").code == 0
    assert output.read_bytes() == b"bytes"
    assert script.requests[0].query == [("format", "zip"), ("profile", "auditor")]
    assert script.requests[0].headers["accept"] == "application/zip"
    refused = {"code": "PROFILE_FORBIDDEN", "message": "not yours", "details": None, "request_id": "r"}
    script.on("GET", f"{RUN}/evidence", json_answer({"error": refused}, 403))
    again = call_server("evidence", "export", "run_1", "--output", str(tmp_path / "none.zip"))
    assert (again.code, "PROFILE_FORBIDDEN" in again.err, "not yours" in again.err) == (1, True, True)
    assert [path.name for path in tmp_path.glob("*none*")] == []


def test_a_download_that_is_cut_goes_on_unless_it_became_another(call_server: Call, script: Script, tmp_path: Path):
    output, data = tmp_path / "got.zip", b"0123456789" * (PIECE_BYTES // 5)

    def respond(request: Request) -> Answer:
        if "range" not in request.headers:
            return Answer(200, data[: PIECE_BYTES + 1], {"etag": '"a"'}, cut=True)
        assert request.headers["if-range"] == '"a"'
        start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        return Answer(206, data[start:], {"etag": '"a"'})

    script.on("GET", f"{RUN}/evidence", respond)
    assert call_server("evidence", "export", "run_1", "--output", str(output)).code == 0
    assert output.read_bytes() == data

    def another(request: Request) -> Answer:
        first = "range" not in request.headers
        return Answer(200, data[: PIECE_BYTES + 1], {"etag": '"a"' if first else '"b"'}, cut=first)

    script.on("GET", f"{RUN}/evidence", another)
    assert call_server("evidence", "export", "run_1", "--output", str(tmp_path / "other.zip")).code == 1
    assert not (tmp_path / "other.zip").exists()


def test_a_whole_bundle_exits_by_whether_its_key_is_named(call: Call, file: Path):
    pinned = call("evidence", "verify", str(file), "--key", signer().key_id)
    assert (pinned.code, pinned.out.splitlines()[-1]) == (0, f"signed by {signer().key_id}, pinned")
    assert call("evidence", "verify", str(file), "--key", f"SHA256:{signer().key_id}".lower()).code == 0
    assert call("evidence", "verify", str(file)).code == 3
    other = call("evidence", "verify", str(file), "--key", "0" * 64)
    assert (other.code, "which is not the key that was named" in other.out) == (1, True)
    told = call("evidence", "verify", str(file), "--key", signer().key_id, "--json").json()
    assert (told["whole"], told["problems"], told["signer"], told["pinned"]) == (True, [], signer().key_id, True)


def test_what_was_changed_is_named_and_drives_no_terminal(call: Call, file: Path):
    files = files_of(file.read_bytes())
    files["usage.json"] = b"{}\n"
    files["\x1b[2J\u202eevil"] = b"x"
    file.write_bytes(zipped(files))
    ended = call("evidence", "verify", str(file), "--key", signer().key_id)
    assert ended.code == 1
    assert {"usage.json: truncated", "\\u001b[2J\\u202eevil: added"} <= set(ended.out.splitlines())
    told = call("evidence", "verify", str(file), "--json").json()
    assert {"object": "usage.json", "what": "truncated", "detail": ""} in told["problems"]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK"])
def test_what_is_no_bundle_is_wrong_usage(call: Call, tmp_path: Path, content: bytes):
    (tmp_path / "x").write_bytes(content)
    for verb in ("verify", "inspect"):
        assert call("evidence", verb, str(tmp_path / "x")).code == 2
        assert call("evidence", verb, str(tmp_path / "absent")).code == 2


def test_inspect_shows_what_a_bundle_says_of_itself(call: Call, file: Path):
    shown = call("evidence", "inspect", str(file))
    assert shown.code == 0
    manifest = json.loads(files_of(file.read_bytes())["manifest.json"])
    assert manifest["log"]["root"] in shown.out
    assert "timeline.ndjson" in shown.out
    assert "Nothing was verified" in shown.err
    assert call("evidence", "inspect", str(file), "--json").json() == manifest


def test_values_are_listed_and_written(call_server: Call, script: Script, tmp_path: Path):
    row = {"artifact_id": "run_1.result", "run_id": "run_1", "kind": "result", "bytes": 2, "sha256": "a" * 64}
    script.on("GET", f"{RUN}/artifacts", json_answer([row]))
    script.on("GET", f"{RUN}/artifacts/run_1.result", Answer(200, b"{}"))
    assert "run_1.result" in call_server("evidence", "values", "run_1").out
    assert call_server("evidence", "values", "run_1", "--json").json() == [row]
    output = tmp_path / "result.json"
    assert call_server("evidence", "value", "run_1", "run_1.result", "--output", str(output)).code == 0
    assert output.read_bytes() == b"{}"


def test_keys_are_listed_and_made(call_server: Call, script: Script):
    script.on("GET", "/.well-known/runwright-keys.json", json_answer({"keys": [KEY]}))
    script.on("POST", "/v1/signing-keys/rotate", json_answer(KEY, 201))
    assert KEY["key_id"] in call_server("keys", "signing").out
    assert call_server("keys", "signing", "--json").json() == [KEY]
    assert call_server("keys", "rotate-signing").code == 2
    assert call_server("keys", "rotate-signing", "--yes", "--json").json() == KEY
