"""The steps that scan: which scanners look, and what the log and the gate say of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.served import Served, serving
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
