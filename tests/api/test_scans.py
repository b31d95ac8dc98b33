"""The steps that scan: which scanners look, and what the log and the gate say of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.domain.baseline import compare, renewed, written
from runwright.domain.finding import Finding
from tests.api.served import Served, ok, serving
from tests.api.test_runtime_orders import ended, git, made
from tests.api.test_runtime_runs import ADDRESSES, drained


@pytest.fixture(scope="module")
async def housed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Served, Path]]:
    """Return a server with one scanner that is there and one that is not, and a repository of its."""
    root = tmp_path_factory.mktemp("repositories")
    repository = root / "shell"
    repository.mkdir()
    git(repository, "init")
    (repository / "app.py").write_text("import subprocess\n\nsubprocess.call(input(), shell=True)  # noqa\n")
    (repository / "ruff.toml").write_text("exclude = ['*']\n")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "first")
    root.chmod(0o755)
    ours = {"repository_roots": (str(root),), "scanners": ("ruff", "not-there")}
    async with serving(tmp_path_factory.mktemp("housed"), **ours) as served:
        yield served, repository


async def test_a_scan_step_uses_the_scanners_of_the_settings_and_tells_who_has_not_run(housed: tuple[Served, Path]):
    server, repository = housed
    run_id = await made(server, repo=str(repository), mode="audit_readonly")
    status = await ended(server, run_id)
    assert (status["status"], status["gate_status"]) == ("completed", "blocked"), status
    events = await drained(server, ADDRESSES[0], run_id, 500)
    scans = {event["payload"]["scanner"]: event["payload"] for event in events if event["type"] == "scan.completed"}
    assert {name: each["status"] for name, each in scans.items()} == {
        "secrets": "completed", "repository": "completed", "ruff": "completed", "not-there": "not_run",
    }  # fmt: skip
    assert scans["not-there"]["reason"] == "there is no scanner of that name"
    assert scans["ruff"]["files"] == 1
    (opened,) = [event["payload"] for event in events if event["type"] == "finding.opened"]
    metrics = (await server.admin.get("/metrics")).text
    for name, status_ in (("ruff", "completed"), ("secrets", "completed"), ("other", "not_run")):
        assert f'runwright_scans_total{{scanner="{name}",status="{status_}"}} 1.0' in metrics
    assert 'runwright_scan_duration_seconds_count{scanner="ruff"} 1.0' in metrics
    assert 'runwright_scan_duration_seconds_count{scanner="other"}' not in metrics
    assert (opened["rule_id"], opened["severity"], opened["file"], opened["line"]) == ("ruff:S602", "P1", "app.py", 3)


WEAK = "import subprocess\n\nsubprocess.call(input(), shell=True)\n"
HIDDEN = "suppressions: [{path: app.py, reason: 'A tool of ours.', owner: ada, expires_at: 2999-01-01}]\n"


def remade(housed: tuple[Served, Path], **files: str) -> Path:
    """Return a repository with the weak file and these, beside the first one; a name's `__` is a dot."""
    at = housed[1].parent / f"r{len(list(housed[1].parent.iterdir()))}"
    for name, text in {"app.py": WEAK, **files}.items():
        path = at / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(at, "init")
    git(at, "add", ".")
    git(at, "commit", "-m", "first")
    return at


def told(events: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    """Return what the log says of a type."""
    return [event["payload"] for event in events if event["type"] == type_]


async def test_what_people_suppress_is_told_as_suppressed_and_never_as_open(housed: tuple[Served, Path]):
    server, _ = housed
    repository = remade(housed, **{"__runwright/suppressions__yaml": HIDDEN})
    run_id = await made(server, repo=str(repository), mode="audit_readonly")
    status = await ended(server, run_id)
    found = status["summaries"]["findings"]
    assert (status["gate_status"], found["P1"], found["total"], found["suppressed"]) == ("passed", 0, 0, 1), status
    events = await drained(server, ADDRESSES[0], run_id, 500)
    (hidden,) = told(events, "finding.suppressed")
    assert told(events, "finding.opened") == []
    assert (hidden["rule_id"], hidden["severity"], hidden["file"]) == ("ruff:S602", "P1", "app.py")
    assert (hidden["reason"], hidden["owner"], hidden["expires_at"]) == ("A tool of ours.", "ada", "2999-01-01")
    bundle = await ok(server.admin.get(f"/api/v1/runs/{run_id}/evidence"))
    counts = {name: bundle["findings"][name] for name in ("P1", "new", "suppressed")}
    assert counts == {"P1": 0, "new": 0, "suppressed": 1}


async def test_what_the_baseline_knows_is_told_as_unchanged_and_blocks_nothing(housed: tuple[Served, Path]):
    server, _ = housed
    first = await made(server, repo=str(remade(housed)), mode="audit_readonly")
    await ended(server, first)
    events = await drained(server, ADDRESSES[0], first, 500)
    found = msgspec.convert(told(events, "finding.opened")[0], Finding, strict=False)
    known = written(renewed(compare([found], None))).decode()
    more = {"__runwright/baseline__json": known + " " * (2 << 20), "new.py": WEAK.replace("call", "run")}
    second = await made(server, repo=str(remade(housed, **more)), mode="audit_readonly")
    status = await ended(server, second)
    events = await drained(server, ADDRESSES[0], second, 500)
    states = {each["file"]: each["baseline_state"] for each in told(events, "finding.opened")}
    del states[".runwright/baseline.json"]  # too large to be looked into
    assert states == {"app.py": "unchanged", "new.py": "new"}
    summary = status["summaries"]["findings"]
    assert (summary["P1"], summary["unchanged"], status["gate_status"]) == (1, 1, "blocked")
    bundle = await ok(server.admin.get(f"/api/v1/runs/{second}/evidence"))
    assert (bundle["findings"]["P1"], bundle["findings"]["unchanged"]) == (2, 1)


@pytest.mark.parametrize("first", [True, False], ids=["before its checkout", "after it"])
async def test_what_a_run_writes_itself_suppresses_nothing(housed: tuple[Served, Path], first: bool):
    server, _ = housed
    writes = f'mkdir .runwright; echo "{HIDDEN.strip()}" > .runwright/suppressions.yaml'
    steps = [{"kind": "ingest"}, {"kind": "command", "command": ["sh", "-c", writes]}]
    steps = [*(reversed(steps) if first else steps), {"kind": "scan"}]
    status = await ended(server, await made(server, repo=str(remade(housed)), mode="edit_gated", steps=steps))
    assert status["summaries"]["findings"]["suppressed"] == 0, status["summaries"]["steps"]
    assert status["gate_status"] in ("blocked", "error")


@pytest.mark.parametrize("text", ["suppressions: [", HIDDEN + "# " + "x" * (1 << 20)], ids=["no YAML", "too large"])
async def test_a_file_that_cannot_be_read_suppresses_nothing_and_that_is_said(housed: tuple[Served, Path], text: str):
    server, _ = housed
    repository = remade(housed, **{"__runwright/suppressions__yaml": text})
    run_id = await made(server, repo=str(repository), mode="audit_readonly")
    status = await ended(server, run_id)
    assert (status["status"], status["gate_status"]) == ("completed", "blocked")
    events = await drained(server, ADDRESSES[0], run_id, 500)
    assert any("it counts for nothing" in event["payload"]["summary"] for event in events if event["type"] == "log")
