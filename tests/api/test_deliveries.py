"""Deliveries through the API: the trees of runs become commits, branches and pull requests of a local forge."""

import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runwright.domain import commit_plan
from runwright.domain.delivery_terms import Author
from tests.api.served import Served, ok, serving
from tests.api.test_approvals import member
from tests.api.test_runtime_approvals import status
from tests.sandbox.repositories import Repository

BATCH = "/api/v1/runs/git/pr/checkpoints"
ALL = ["commit", "push", "open_pr"]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def server(tmp_path: Path, root: Path) -> AsyncIterator[Served]:
    named = {"repository_roots": (str(root),), "forges": (f"local={root}",), "delivery_wait_s": 30}
    async with serving(tmp_path, **named) as served:
        yield served


def bare(root: Path, name: str, **files: str) -> Path:
    """Return a bare repository with one commit."""
    work = Repository(root / f"{name}-work")
    work.commit(**({"a.txt": "one\n", "b.txt": "two\n"} | files))
    path = root / f"{name}.git"
    work.git("clone", "--quiet", "--bare", ".", str(path))
    return path


def git(path: Path, *words: str) -> str:
    """Return what git says of a repository."""
    told = subprocess.run(
        ["git", "-c", "safe.directory=*", *words], cwd=path, capture_output=True, check=True, text=True
    )
    return told.stdout.strip()


async def ran(server: Served, repo: Path | str | None, *commands: str, **order: Any) -> str:
    """Return a run that has done these commands, and ended."""
    steps = [{"kind": "command", "command": ["sh", "-c", each]} for each in commands]
    body = {"mode": "edit_gated", "steps": steps, **order} | ({} if repo is None else {"repo": str(repo)})
    run_id: str = (await ok(server.admin.post("/api/v1/runs", json=body), 201))["run_id"]
    await status(server, run_id, "completed", "failed")
    return run_id


async def delivered(server: Served, *run_ids: str, **body: Any) -> dict[str, Any]:
    """Return the answer of a call that delivers."""
    answer: dict[str, Any] = await ok(server.admin.post(BATCH, json={"run_ids": run_ids, **body}))
    return answer


async def allow(server: Served, result: dict[str, Any], by: httpx2.AsyncClient, decision: str = "approve") -> None:
    """Decide what a delivery asks."""
    assert result["error"]["code"] == "APPROVAL_MISSING", result
    path = f"/api/v1/runs/{result['delivery_run_id']}/approvals"
    (asked,) = [each for each in await ok(server.admin.get(path)) if each["checkpoint_id"] == result["checkpoint_id"]]
    told = {"checkpoint_id": asked["checkpoint_id"], "subject_sha256": asked["subject_sha256"], "decision": decision}
    await ok(by.post(path, json=told))


async def test_a_run_is_committed_pushed_and_has_a_pull_request_once_it_was_allowed(server: Served, root: Path):
    repo = bare(root, "first")
    run_id = await ran(server, repo, "echo changed > a.txt; rm b.txt; mkdir d; echo new > 'd/with space'")
    (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
    assert (asked["status"], asked["error"]["code"]) == ("failed", "APPROVAL_MISSING")
    assert git(repo, "for-each-ref", "refs/heads/omar") == ""
    ada = await member(server, "Ada")
    await allow(server, asked, ada)
    answer = await delivered(server, run_id, actions=ALL)
    (done,) = answer["results"]
    assert (done["status"], done["error"]) == ("succeeded", None), done
    assert [step["status"] for step in done["steps"]] == ["done", "done", "done"]
    branch = f"omar/{run_id}"
    assert git(repo, "rev-parse", branch) == done["commit_sha"] == asked["commit_sha"]
    assert git(repo, "log", "--format=%P", "-1", branch) == git(repo, "rev-parse", "main")
    assert git(repo, "diff", "--name-status", "main", branch).split("\n") == ["M\ta.txt", "D\tb.txt", "A\td/with space"]
    assert git(repo, "fsck", "--strict", "--full") == ""
    assert (done["pr"]["provider"], done["pr"]["number"], done["pr"]["reused"]) == ("local", 1, False)
    told = json.loads(git(repo, "show", f"refs/pull/1/from/{branch}"))
    assert (told["base"], told["draft"], told["commit_sha"]) == ("main", True, done["commit_sha"])
    assert await delivered(server, run_id, actions=ALL) == answer
    assert len(git(repo, "for-each-ref", "refs/pull").splitlines()) == 2


def codes(answer: dict[str, Any]) -> list[str | None]:
    """Return what is said of each run, in order."""
    return [None if each["error"] is None else each["error"]["code"] for each in answer["results"]]


async def test_scenario_7_five_runs_in_one_call_each_have_their_own_result_and_a_second_call_changes_nothing(
    server: Served, root: Path
):
    one, two = bare(root, "seven-a"), bare(root, "seven-b")
    asked = await ran(server, one, "echo asked >> a.txt")
    homeless = await ran(server, None, "echo nowhere > a.txt")
    idle = await ran(server, one, "true")
    good = [await ran(server, one, "echo good >> a.txt"), await ran(server, two, "echo good >> b.txt")]
    five = [good[0], asked, homeless, idle, good[1]]
    ada = await member(server, "Ada")
    first = await delivered(server, *five, actions=ALL)
    assert codes(first) == [*["APPROVAL_MISSING"] * 2, "WORKSPACE_MISSING", "NOTHING_TO_COMMIT", "APPROVAL_MISSING"]
    for place in (0, 4):
        await allow(server, first["results"][place], ada)

    fast = await delivered(server, *five, actions=ALL, on_error="fail_fast")
    assert codes(fast) == [None, "APPROVAL_MISSING", *["SKIPPED_FAIL_FAST"] * 3]
    assert fast["counts"] == {"succeeded": 1, "failed": 1, "skipped": 3}
    assert [each["run_id"] for each in fast["results"]] == five
    assert {each["delivery_run_id"] for each in fast["results"][2:]} == {None}
    assert [[step["status"] for step in each["steps"]] for each in fast["results"]] == [
        *(["done"] * 3, ["pending"] * 3),
        *[["skipped"] * 3] * 3,
    ]
    # It was allowed, and goes on whether this call tells of it or not.
    await status(server, first["results"][4]["delivery_run_id"], "completed")
    refs, runs = (
        [git(repo, "for-each-ref") for repo in (one, two)],
        await ok(server.admin.get("/api/v1/runs?limit=500")),
    )
    assert await delivered(server, *five, actions=ALL, on_error="fail_fast") == fast
    assert [git(repo, "for-each-ref") for repo in (one, two)] == refs
    assert await ok(server.admin.get("/api/v1/runs?limit=500")) == runs, "the second call made no run"

    answer = await delivered(server, *five, actions=ALL)
    assert codes(answer) == [None, "APPROVAL_MISSING", "WORKSPACE_MISSING", "NOTHING_TO_COMMIT", None]
    assert answer["counts"] == {"succeeded": 2, "failed": 3, "skipped": 0}
    assert answer["results"][0] == fast["results"][0]
    assert [(each["on_error"], each["dry_run"]) for each in (fast, answer)] == [
        ("fail_fast", False),
        ("continue", False),
    ]
    assert answer["batch_id"] != fast["batch_id"]
    told = [each["error"] and each["error"]["retryable"] for each in answer["results"]]
    assert told == [None, True, False, False, None], "to ask again helps only where people are still asked"
    assert [[step["status"] for step in each["steps"]] for each in answer["results"]] == [
        *(["done"] * 3, ["pending"] * 3),
        *[["skipped"] * 3] * 2,
        ["done"] * 3,
    ]
    for each in (answer["results"][0], answer["results"][4]):
        assert (each["pr"]["provider"], each["pr"]["reused"]) == ("local", False)
        assert each["evidence_event_id"].startswith(f"{each['delivery_run_id']}.")
    assert [each["pr"]["number"] for each in (answer["results"][0], answer["results"][4])] == [1, 1]
    before = [git(repo, "for-each-ref") for repo in (one, two)]
    assert await delivered(server, *five, actions=ALL) == answer
    assert [git(repo, "for-each-ref") for repo in (one, two)] == before

    for repo, result, files in (
        (one, answer["results"][0], {"a.txt": "one\ngood\n", "b.txt": "two\n"}),
        (two, answer["results"][4], {"a.txt": "one\n", "b.txt": "two\ngood\n"}),
    ):
        clone = root / f"{repo.stem}-clone"
        git(root, "clone", "--quiet", "--branch", result["branch"], str(repo), str(clone))
        assert git(clone, "rev-parse", "HEAD") == result["commit_sha"]
        assert {path.name: path.read_text() for path in clone.glob("*.txt")} == files


async def test_the_policy_of_the_base_says_who_must_allow_a_delivery_and_no_change_makes_that_easier(
    server: Served, root: Path
):
    policy = "approvals: {push: {quorum: 2, ttl_seconds: 600}, open_pr: {roles: [admin]}}\n"
    repo = bare(root, "quorum", **{".runwright/policy.yaml": policy})
    run_id = await ran(server, repo, "echo 'approvals: {}' > .runwright/policy.yaml")
    (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
    (shown,) = await ok(server.admin.get(f"/api/v1/runs/{asked['delivery_run_id']}/approvals"))
    assert (shown["required"]["quorum"], shown["required"]["roles"]) == (2, ["admin"]), shown
    await allow(server, asked, await member(server, "Ada", "admin"))
    (still,) = (await delivered(server, run_id, actions=ALL))["results"]
    assert (still["error"]["code"], git(repo, "for-each-ref", "refs/heads/omar")) == ("APPROVAL_MISSING", "")
    await allow(server, still, await member(server, "Bob", "admin"))
    assert codes(await delivered(server, run_id, actions=ALL)) == [None]
    (alone,) = (await delivered(server, run_id, actions=["commit"]))["results"]
    (shown,) = await ok(server.admin.get(f"/api/v1/runs/{alone['delivery_run_id']}/approvals"))
    assert shown["required"]["quorum"] == 1, "of a commit the policy says nothing"


async def test_the_policy_of_the_base_says_which_paths_a_delivery_may_change_and_no_change_widens_that(
    server: Served, root: Path
):
    policy = "scope: {allow: ['*.txt', '.runwright/**'], deny: [b.txt]}\n"
    repo = bare(root, "scope", **{".runwright/policy.yaml": policy})
    widened = "echo 'scope: {}' > .runwright/policy.yaml"
    inside, outside, renamed = [
        await ran(server, repo, *each)
        for each in ([widened, "echo x > a.txt"], [widened, "echo x > c.md"], [widened, "mv b.txt a.txt"])
    ]
    answer = await delivered(server, inside, outside, renamed, actions=ALL)
    assert codes(answer) == ["APPROVAL_MISSING", "PATH_OUT_OF_SCOPE", "PATH_OUT_OF_SCOPE"]
    for result, path in zip(answer["results"][1:], ("c.md", "b.txt"), strict=True):
        assert result["error"]["message"] == f"{path}: the policy does not let this path be changed"
        assert result["error"]["retryable"] is False
        stands = await ok(server.admin.get(f"/api/v1/runs/{result['delivery_run_id']}/status"))
        assert (stands["stop"]["code"], stands["stop"]["class"]) == ("PATH_OUT_OF_SCOPE", "blocked_by_policy")
        assert stands["pending_approvals"] == [], "nobody is asked about what may not be"


async def test_a_call_that_nobody_could_carry_out_is_refused_whole(server: Served, root: Path):
    run_id = await ran(server, bare(root, "refused"), "echo x > a.txt")
    for body, code in (
        ({"run_ids": []}, "EMPTY_RUN_IDS"),
        ({"run_ids": [run_id, run_id]}, "DUPLICATE_RUN_IDS"),
        ({"run_ids": [f"run_{count}" for count in range(51)]}, "TOO_MANY_RUN_IDS"),
        ({"run_ids": [run_id], "actions": ["push"]}, "VALIDATION"),
        ({"run_ids": [run_id], "branch": {"template": "omar/{secret}"}}, "VALIDATION"),
        ({"run_ids": [run_id], "branch": {"template": "a..b"}}, "VALIDATION"),
        ({"run_ids": [run_id], "per_run": {"run_other": {}}}, "VALIDATION"),
        ({"run_ids": [run_id], "pr": {"title": "Nobody opens it"}}, "VALIDATION"),
        ({"run_ids": [run_id], "per_run": {run_id: {"actions": ["commit"], "pr": {"draft": False}}}}, "VALIDATION"),
        ({"run_ids": [run_id], "commit": {"author": {"name": "A <x>", "email": "a@b"}}}, "VALIDATION"),
    ):
        answer = await server.admin.post(BATCH, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code), answer.text
    viewer = await server.key("runs:read")
    assert (await viewer.post(BATCH, json={"run_ids": [run_id]})).status_code == 403


async def test_what_a_run_is_not_ready_for_is_said_of_it_and_nothing_is_made(server: Served, root: Path):
    repo = bare(root, "unready")
    gate = {"kind": "gate", "step_id": "tests", "command": ["false"]}
    after = {"kind": "command", "command": ["sh", "-c", "echo later >> a.txt"]}
    change = {"kind": "command", "command": ["sh", "-c", "echo x >> a.txt"]}
    audit = await ran(server, repo, mode="audit_readonly", steps=[{"kind": "report"}])
    red = await ran(server, repo, steps=[change, gate])
    stale = await ran(server, repo, steps=[change, {**gate, "command": ["true"]}, after])
    order = {"mode": "edit_gated", "repo": str(repo), "steps": [change, {"kind": "approval", "summary": "Go on?"}]}
    open_ = (await ok(server.admin.post("/api/v1/runs", json=order), 201))["run_id"]
    await status(server, open_, "awaiting_approval")
    wanted = {"run_nobody": "RUN_NOT_FOUND", audit: "MODE_NOT_WRITE_CAPABLE", red: "GATE_NOT_GREEN"}
    wanted |= {stale: "GATE_NOT_GREEN", open_: "RUN_NOT_TERMINAL_OR_PAUSED"}
    answer = await delivered(server, *wanted)
    assert codes(answer) == list(wanted.values())
    assert all(each["delivery_run_id"] is None and each["error"]["message"] for each in answer["results"])
    stranger = await server.neighbour("unready")
    found = await ok(stranger.post(BATCH, json={"run_ids": [red]}))
    assert codes(found) == ["RUN_NOT_FOUND"]


async def test_a_dry_run_tells_what_would_be_done_and_makes_nothing(server: Served, root: Path):
    run_id = await ran(server, bare(root, "dry"), "echo x > a.txt")
    before = len(await ok(server.admin.get("/api/v1/runs?limit=500")))
    (told,) = (await delivered(server, run_id, actions=ALL, dry_run=True))["results"]
    assert (told["status"], told["branch"], told["delivery_run_id"]) == ("succeeded", f"omar/{run_id}", None)
    assert {step["status"] for step in told["steps"]} == {"planned"}
    assert len(await ok(server.admin.get("/api/v1/runs?limit=500"))) == before


async def test_a_denial_stands_until_people_are_asked_again(server: Served, root: Path):
    repo = bare(root, "denied")
    run_id = await ran(server, repo, "echo x > a.txt")
    path, ada = f"/api/v1/runs/{run_id}/git/pr", await member(server, "Ada")
    await allow(server, await ok(server.admin.post(path, json={})), ada, "deny")
    for _ in range(2):
        answer = await ok(server.admin.post(path, json={}))
        assert answer["error"]["code"] == "APPROVAL_DENIED"
    again = await ok(server.admin.post(path, json={"ask_again": True}))
    assert again["delivery_run_id"] != answer["delivery_run_id"]
    await allow(server, again, ada)
    done = await ok(server.admin.post(path, json={}))
    assert (done["status"], done["pr"]) == ("succeeded", None)
    assert git(repo, "for-each-ref", "refs/heads/omar") == "", "a commit alone goes nowhere"
    values = await ok(server.admin.get(f"/api/v1/runs/{done['delivery_run_id']}/artifacts"))
    assert [value["key"] for value in values if value["kind"] == "bundle"] == [done["commit_sha"]]


async def test_k11_a_branch_that_went_on_since_the_run_began_stops_the_delivery_unless_it_is_told_not_to(
    server: Served, root: Path
):
    repo = bare(root, "moved")
    run_id = await ran(server, repo, "echo x > a.txt", ref="main")
    (root / "moved-work" / "c.txt").write_text("later\n")
    work = Repository(root / "moved-work")
    now = work.commit(c="later\n")
    work.git("push", "--quiet", str(repo), "main")
    ada = await member(server, "Ada")
    (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
    await allow(server, asked, ada)
    (stopped,) = (await delivered(server, run_id, actions=ALL))["results"]
    assert (stopped["error"]["code"], stopped["error"]["retryable"]) == ("BASE_MOVED", False)
    assert now in stopped["error"]["message"]
    (asked,) = (await delivered(server, run_id, actions=ALL, if_base_moved="deliver"))["results"]
    await allow(server, asked, ada)
    (done,) = (await delivered(server, run_id, actions=ALL, if_base_moved="deliver"))["results"]
    assert (done["status"], done["pr"]["number"]) == ("succeeded", 1)


async def test_k12_a_pull_request_that_is_open_for_the_branch_is_reused(server: Served, root: Path):
    repo = bare(root, "reused")
    run_id = await ran(server, repo, "echo x > a.txt")
    ada = await member(server, "Ada")
    for title, reused in (("First", False), ("Second", True)):
        (asked,) = (await delivered(server, run_id, actions=ALL, pr={"title": title}))["results"]
        await allow(server, asked, ada)
        (done,) = (await delivered(server, run_id, actions=ALL, pr={"title": title}))["results"]
        assert (done["pr"]["number"], done["pr"]["reused"]) == (1, reused)
        assert done["steps"][1]["status"] == ("unchanged" if reused else "done")
    assert json.loads(git(repo, "show", f"refs/pull/1/from/omar/{run_id}"))["title"] == "First"


async def test_k13_a_push_to_a_branch_that_is_protected_is_that_runs_error_and_fails_no_run(server: Served, root: Path):
    repo = bare(root, "protected")
    run_id, ada = await ran(server, repo, "echo x > a.txt"), await member(server, "Ada")
    git(repo, "branch", "taken")
    before = git(repo, "for-each-ref")
    for template, code in (("main", "PROTECTED_BRANCH"), ("taken", "PUSH_REJECTED"), ("taken/x", "PUSH_REJECTED")):
        order: dict[str, Any] = {"actions": ["commit", "push"], "branch": {"template": template}}
        (asked,) = (await delivered(server, run_id, **order))["results"]
        await allow(server, asked, ada)
        (stopped,) = (await delivered(server, run_id, **order))["results"]
        assert stopped["error"]["code"] == code
        for ident, stop in ((run_id, "NONE"), (stopped["delivery_run_id"], code)):
            stands = await ok(server.admin.get(f"/api/v1/runs/{ident}/status"))
            assert (stands["status"], stands["stop"]["code"]) == ("completed", stop)
    assert git(repo, "for-each-ref") == before


async def test_k10_what_a_checkout_left_out_is_in_the_commit_as_it_was_in_the_base(server: Served, root: Path):
    work = Repository(root / "odd work with spaces")
    work.write("crlf.txt", b"one\r\ntwo\r\n")
    work.write("pointer.dat", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    work.write("empty", b"")
    work.write("with space/file", "x\n", program=True)
    (work.path / "inside").symlink_to("empty")
    (work.path / "outside").symlink_to("/etc/passwd")
    work.write("big.bin", b"\0" * (17 << 20))
    work.git("-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null", "add", "--all")
    work.write(".gitattributes", "*.dat filter=lfs\n*.txt text eol=lf\n")
    work.git("add", ".gitattributes")
    odd = work.loose(b"blob", b"odd\n")
    work.git("update-index", "-z", "--index-info", given=b"100644 " + odd.encode() + b"\tn\xffme\0")
    work.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    work.commit_index()
    work.git("push", "--quiet", str(bare(root, "odd", **{"a.txt": "0\n"})), "HEAD:refs/heads/odd")
    repo = root / "odd.git"
    git(repo, "symbolic-ref", "HEAD", "refs/heads/odd")
    shallow = root / "shallow with space.git"
    git(root, "clone", "--quiet", "--bare", "--depth=1", f"file://{repo}", str(shallow))
    for where in (repo, shallow):
        before = git(where, "ls-tree", "-r", "HEAD").split("\n")
        run_id = await ran(server, where, "printf 'three\\r\\n' >> crlf.txt; rm 'with space/file'; : > new")
        (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
        await allow(server, asked, await member(server, f"Ada {where.name}"))
        (done,) = (await delivered(server, run_id, actions=ALL))["results"]
        assert done["status"] == "succeeded", done
        after = git(where, "ls-tree", "-r", f"omar/{run_id}").split("\n")
        paths = {line.partition("\t")[2] for line in set(before) ^ set(after)}
        assert paths == {"crlf.txt", "with space/file", "new"}
        assert git(where, "cat-file", "blob", f"omar/{run_id}:new") == ""
        blob = git(where, "rev-parse", f"omar/{run_id}:crlf.txt")
        assert blob == work.git("hash-object", "--no-filters", "--stdin", given=b"one\r\ntwo\r\nthree\r\n")


async def test_k10_a_repository_without_a_commit_gets_its_first_one(server: Served, root: Path):
    repo = root / "empty.git"
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(repo))
    run_id = await ran(server, repo, "echo first > a.txt")
    order = {"actions": ["commit", "push"]}
    (asked,) = (await delivered(server, run_id, **order))["results"]
    await allow(server, asked, await member(server, "Ada"))
    (done,) = (await delivered(server, run_id, **order))["results"]
    assert done["status"] == "succeeded", done
    assert git(repo, "log", "--format=%P|%s", f"omar/{run_id}") == f"|Changes of the run {run_id}"


async def test_a_commit_that_is_another_than_people_were_shown_is_not_made(
    server: Served, root: Path, monkeypatch: pytest.MonkeyPatch
):
    repo = bare(root, "mismatch")
    run_id = await ran(server, repo, "echo x > a.txt")
    (asked,) = (await delivered(server, run_id, actions=ALL))["results"]
    other = Author("Another version", "other@example.org")
    monkeypatch.setattr(commit_plan, "COMMITTER", other)  # as a server would have it that builds commits otherwise
    await allow(server, asked, await member(server, "Ada"))
    await status(server, asked["delivery_run_id"], "completed")
    (again,) = (await delivered(server, run_id, actions=ALL))["results"]
    assert again["error"]["code"] == "APPROVAL_MISSING", "what was allowed was another commit"
    assert again["commit_sha"] != asked["commit_sha"]
    monkeypatch.undo()
    bundle = await ok(server.admin.get(f"/api/v1/runs/{asked['delivery_run_id']}/status"))
    assert bundle["stop"]["code"] == "APPROVAL_SUBJECT_MISMATCH"
    assert git(repo, "for-each-ref", "refs/heads/omar") == ""


async def test_an_approval_that_nobody_gave_in_time_is_a_denial_and_a_cancelled_delivery_begins_anew(
    tmp_path: Path, root: Path
):
    named: dict[str, Any] = {"repository_roots": (str(root),), "forges": (f"local={root}",)}
    async with serving(tmp_path, delivery_approval_s=1, **named) as server:
        run_id = await ran(server, bare(root, "expired"), "echo x > a.txt")
        path = f"/api/v1/runs/{run_id}/git/pr"
        asked = await ok(server.admin.post(path, json={}))
        await status(server, asked["delivery_run_id"], "completed")
        assert (await ok(server.admin.post(path, json={})))["error"]["code"] == "APPROVAL_EXPIRED"
        token = server.admin_token
    async with serving(tmp_path, **named) as server:  # who is asked from now on has time
        server.admin = server.client(token)
        again = await ok(server.admin.post(path, json={"ask_again": True}))
        assert again["error"]["code"] == "APPROVAL_MISSING"
        await ok(server.admin.post(f"/api/v1/runs/{again['delivery_run_id']}/cancel", json={}), 202)
        anew = await ok(server.admin.post(path, json={}))
        assert anew["error"]["code"] == "APPROVAL_MISSING"
        assert len({each["delivery_run_id"] for each in (asked, again, anew)}) == 3


async def test_a_run_that_is_paused_is_delivered_as_it_stands(server: Served, root: Path):
    repo = bare(root, "paused")
    steps = [{"kind": "command", "command": ["sh", "-c", "echo x >> a.txt"]}, {"kind": "approval", "summary": "On?"}]
    order = {"mode": "edit_gated", "repo": str(repo), "steps": steps}
    run_id = (await ok(server.admin.post("/api/v1/runs", json=order), 201))["run_id"]
    await status(server, run_id, "awaiting_approval")
    await ok(server.admin.post(f"/v1/runs/{run_id}/pause"))
    await status(server, run_id, "paused")
    (asked,) = (await delivered(server, run_id, actions=["commit", "push"]))["results"]
    await allow(server, asked, await member(server, "Ada"))
    (done,) = (await delivered(server, run_id, actions=["commit", "push"]))["results"]
    assert done["status"] == "succeeded"
    assert git(repo, "show", f"omar/{run_id}:a.txt") == "one\nx"
