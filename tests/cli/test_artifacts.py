"""`runwright artifacts`: a file in, and out again whole or not at all."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call, Script
from tests.client.local_server import Answer, json_answer

DIGEST = hashlib.sha256(b"bytes").hexdigest()
MADE = {"digest": DIGEST, "size": 5, "created_at": "2026-01-01T00:00:00Z"}


def test_a_file_is_put_and_its_digest_shown(call_server: Call, script: Script, tmp_path: Path):
    script.on("POST", "/v1/artifacts", json_answer(MADE, 201))
    (tmp_path / "report").write_bytes(b"bytes")
    plain = call_server("artifacts", "put", str(tmp_path / "report"), "--project", "blue")
    assert (plain.code, DIGEST in plain.out) == (0, True)
    assert (script.requests[0].body, script.requests[0].query) == (b"bytes", [("project_id", "blue")])
    assert call_server("artifacts", "put", str(tmp_path / "report"), "--json").json() == MADE
    assert call_server("artifacts", "put", str(tmp_path / "none")).code == 2


def test_an_artifact_is_written_to_a_file_whole_or_not_at_all(call_server: Call, script: Script, tmp_path: Path):
    output = tmp_path / "got"
    script.on("GET", f"/v1/artifacts/{DIGEST}", Answer(200, b"other"))
    assert call_server("artifacts", "get", DIGEST, "--output", str(output)).code == 1
    assert list(tmp_path.iterdir()) == []
    script.on("GET", f"/v1/artifacts/{DIGEST}", Answer(200, b"bytes"))
    assert call_server("artifacts", "get", DIGEST, "--output", str(output)).code == 0
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == {output: b"bytes"}


def test_the_artifacts_of_a_run_are_listed(call_server: Call, script: Script):
    row = {"id": "run_1.output.a", "run_id": "run_1", "kind": "output", "key": "a", "digest": DIGEST, "sealed": True}
    script.on("GET", "/v1/runs/run_1/artifacts", json_answer([row]))
    assert DIGEST in call_server("runs", "artifacts", "run_1").out
    assert call_server("runs", "artifacts", "run_1", "--json").json() == [row]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("line 1\n\x1b[2Jline 2", "line 1\n [2Jline 2\n"), ({"role": "user"}, '{\n  "role": "user"\n}\n')],
)
def test_what_a_run_keeps_under_a_digest_is_shown(call_server: Call, script: Script, value: Any, shown: str):
    row = {"run_id": "run_1", "digest": DIGEST, "kind": "prompt", "value": value, "truncated": False}
    script.on("GET", f"/v1/runs/run_1/values/{DIGEST}", json_answer(row))
    assert call_server("runs", "value", "run_1", DIGEST).out == shown
    assert call_server("runs", "value", "run_1", DIGEST, "--json").json() == row
