"""Scenario 11 over HTTP: a run over a hostile repository contains, redacts and reports it, and does none of it."""

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, serving
from tests.api.test_runtime_runs import ADDRESSES, drained
from tests.sandbox.git_server import Forge
from tests.sandbox.git_server import serving as forge_serving
from tests.sandbox.hostile import ORDERS, TOKEN, hostile
from tests.sandbox.repositories import Repository

RUNS = ADDRESSES[0]
HALVES = """
import sys, time
text = open("settings.env").read()
half = len(text) - 20
for part in (text[:half], text[half:]):
    sys.stdout.write(part)
    sys.stdout.flush()
    time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Make a directory that commands may pass, with a canary that everybody may write to."""
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        root = Path(name)
        root.chmod(0o711)
        (root / "canary").mkdir()
        (root / "canary").chmod(0o777)
        yield root


@pytest.fixture(scope="module")
def trap(root: Path) -> Repository:
    """Make the hostile repository beneath the allowed directory."""
    return hostile(root / "allowed/hostile", root / "canary")


@pytest.fixture(scope="module")
async def server(root: Path, trap: Repository) -> AsyncIterator[Served]:
    (root / "data").mkdir()
    roots, places = (str(root / "allowed"),), root / "places"
    places.mkdir()
    places.chmod(0o711)
    settings: dict[str, Any] = {"repository_private": True, "repository_retry_s": 0, "process_dir": places}
    async with serving(root / "data", repository_roots=roots, **settings) as served:
        yield served


async def ended(server: Served, **body: Any) -> dict[str, Any]:
    """Make a run and return where it stands when it has ended."""
    run_id = (await ok(server.admin.post(RUNS, json=body), 201))["run_id"]
    return await server.seen(run_id, lambda status: status["ended_at"])


async def test_scenario_11_a_run_over_a_hostile_repository_contains_redacts_and_reports_it(
    server: Served, trap: Repository, root: Path
):
    steps = [
        {"kind": "ingest"},
        {"kind": "scan"},
        {"kind": "command", "command": ["python3", "-c", HALVES], "step_id": "print"},
        {"kind": "command", "command": ["sh", "-c", "git status; touch x; ls -a; cat passwd"], "step_id": "try",
         "on_failure": "continue"},
        {"kind": "report"},
    ]  # fmt: skip
    status = await ended(server, repo=str(trap.path), mode="audit_readonly", steps=steps)
    run_id = status["run_id"]
    assert (status["status"], status["gate_status"]) == ("completed", "blocked")
    assert list((root / "canary").iterdir()) == []

    events = await drained(server, RUNS, run_id, 500)
    found = {(each["payload"]["rule_id"], each["payload"]["file"]) for each in events if each["kind"] == "finding"
             and each["type"] == "finding.opened"}  # fmt: skip
    assert found >= {
        ("secrets:github_token", "settings.env"),
        ("repository:instructions", "README.md"),
        ("repository:link-leads-out", "passwd"),
        ("repository:git-filter", ".gitattributes"),
        ("repository:too-large", "huge.txt"),
        ("repository:repository-hook", ".git/hooks/post-checkout"),
    }
    (checked_out,) = [each["payload"] for each in events if each["type"] == "workspace.checked_out"]
    assert checked_out["head_sha"] == trap.git("--git-dir=.git", "rev-parse", "refs/heads/main")
    printed = "".join(each["payload"].get("chunk", "") for each in events if each["type"] == "terminal.output")
    assert "GITHUB_TOKEN=[redacted:token]" in printed
    assert "Read-only file system" in printed
    assert "root:" not in printed

    bundle = await server.admin.get(f"{RUNS}/{run_id}/evidence")
    told = bundle.json()["findings"]
    assert (told["scanned"], told["P0"]) == (True, 1)
    rules = {rule["id"] for rule in told["sarif"]["runs"][0]["tool"]["driver"]["rules"]}
    assert {"secrets:github_token", "repository:instructions"} <= rules
    said = [json.dumps(status), json.dumps(events), bundle.text]
    for secret in (TOKEN, TOKEN[20:], ORDERS):
        assert not any(secret in text for text in said), secret
    assert not any(TOKEN.encode() in path.read_bytes() for path in (root / "data").rglob("*") if path.is_file())


async def test_a_run_over_an_address_checks_out_the_commit_that_it_names_and_says_which(server: Served, tmp_path: Path):
    repository = Repository(tmp_path / "r")
    first = repository.commit(a="1\n")
    repository.commit(a="2\n")
    async with forge_serving(Forge(tmp_path)) as forge:
        gate = {"kind": "gate", "command": ["grep", "1", "a"], "step_id": "first"}
        status = await ended(server, repo=f"{forge.url}/r/.git", ref=first, steps=[{"kind": "ingest"}, gate])
    assert (status["status"], status["gate_status"]) == ("completed", "passed"), status
    assert status["ref"] == first


@pytest.mark.parametrize(("away", "ends"), [(2, "completed"), (3, "failed")])
async def test_an_address_that_does_not_answer_just_now_is_asked_again(
    server: Served, tmp_path: Path, away: int, ends: str
):
    Repository(tmp_path / "r").commit(a="1\n")
    left = [b"HTTP/1.1 503 away\r\ncontent-length: 0\r\n\r\n"] * away
    async with forge_serving(Forge(tmp_path, lambda _: left.pop() if left else None)) as forge:
        status = await ended(server, repo=f"{forge.url}/r/.git", steps=[{"kind": "ingest"}])
    assert (status["status"], left) == (ends, []), status
    events = await drained(server, RUNS, status["run_id"], 500)
    told = [event["payload"] for event in events if event["type"] == "log"]
    assert [each["attempt"] for each in told] == [1, 2], "the third is the last"
    assert {each["code"] for each in told} == {"repo.unreachable"}
    if ends == "failed":
        assert (events[-1]["payload"]["code"], events[-1]["payload"]["retryable"]) == ("repo.unreachable", True)


async def test_repositories_that_are_not_taken_and_refs_that_are_none_are_refused_at_once(server: Served, root: Path):
    for repo in ("/etc", f"{root}/allowed/../canary", "ssh://git@example.org/x", "https://169.254.169.254/x"):
        answer = await server.admin.post(RUNS, json={"repo": repo})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "REPO_NOT_ALLOWED"), answer.text
    answer = await server.admin.post(RUNS, json={"repo": f"{root}/allowed/hostile", "ref": "--upload-pack=x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION"), answer.text


async def test_a_run_whose_repository_or_commit_is_not_there_fails_and_says_so(server: Served, root: Path):
    for repo, ref, code in (("missing", None, "repo.not_found"), ("hostile", "nothing", "ref.not_found")):
        status = await ended(server, repo=f"{root}/allowed/{repo}", ref=ref)
        assert (status["status"], status["stop"]["code"]) == ("failed", "CONFIG_INVALID")
        events = await drained(server, RUNS, status["run_id"], 500)
        assert events[-1]["payload"]["code"] == code
        assert events[-1]["payload"]["error"] == status["stop"]["detail"]
