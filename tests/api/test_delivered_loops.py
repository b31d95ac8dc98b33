"""Deliveries of remediation loops through the API: what a loop repaired becomes a pull request, if all is green."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runwright.governance.delivery_order import refused
from tests.api.served import Served, ok, serving
from tests.api.test_approvals import member
from tests.api.test_deliveries import ALL, allow, bare, codes, delivered, git, root
from tests.sandbox.repositories import Repository

__all__ = ["root"]

LOOPS = "/api/v1/loops/omar"
WEAK = "import hashlib\n\n\ndef key(of):\n    return hashlib.md5(of).hexdigest()\n"
MENDED = WEAK.replace("md5", "sha256")
TESTS = {"id": "tests", "command": ["sh", "-c", "grep -q hexdigest keys.py"]}
RED = {"id": "red", "command": ["false"], "retries": 0}


@pytest.fixture
async def server(tmp_path: Path, root: Path) -> AsyncIterator[Served]:
    named = {"repository_roots": (str(root),), "forges": (f"local={root}",), "delivery_wait_s": 30}
    async with serving(tmp_path, scanners=("ruff",), **named) as served:
        yield served


async def looped(server: Served, repo: Path, **order: Any) -> dict[str, Any]:
    """Return a loop of fixers alone over a repository, once it has ended."""
    strategy = {"patchers": ["deterministic"]}
    body = {"repo": str(repo), "quality_gates": [TESTS], "strategy": strategy, **order}
    shown: dict[str, Any] = await ok(server.admin.post(LOOPS, json=body), 202)
    path = f"{LOOPS}/{shown['loop_id']}"
    shown = await ok(server.admin.get(path))
    while shown["run_state"] not in ("completed", "failed", "cancelled"):
        shown = await ok(server.admin.get(path, params={"wait": 5}))
    return shown


async def test_a_loop_that_ended_clean_becomes_a_draft_pull_request_and_a_second_call_changes_nothing(
    server: Served, root: Path
):
    repo = bare(root, "mended", **{"keys.py": WEAK})
    loop = await looped(server, repo)
    assert (loop["exit_reason"], loop["gate_status"]) == ("clean", "green"), loop
    loop_id, branch = loop["loop_id"], f"omar/{loop['loop_id']}"
    (asked,) = (await delivered(server, loop_id, actions=ALL))["results"]
    await allow(server, asked, await member(server, "Ada"))
    answer = await delivered(server, loop_id, actions=ALL)
    (done,) = answer["results"]
    assert (done["status"], done["branch"]) == ("succeeded", branch), done
    assert git(repo, "rev-parse", branch) == done["commit_sha"] == asked["commit_sha"]
    kept = [each for each in loop["iterations"] if each["outcome"] == "kept"]
    assert len(kept) == 1
    delivery = await ok(server.admin.get(f"/api/v1/runs/{done['delivery_run_id']}/approvals"))
    assert delivery[0]["subject"]["tree_hash"] == kept[-1]["tree_sha"], "what is delivered is what the loop looked at"
    told = json.loads(git(repo, "show", f"refs/pull/{done['pr']['number']}/from/{branch}"))
    assert (told["base"], told["draft"], told["commit_sha"]) == ("main", True, done["commit_sha"])

    clone = root / "mended-clone"
    git(root, "clone", "--quiet", "--branch", branch, str(repo), str(clone))
    assert (clone / "keys.py").read_text() == MENDED
    assert git(clone, "diff", "--name-status", "origin/main", "HEAD") == "M\tkeys.py"
    before = git(repo, "for-each-ref")
    assert await delivered(server, loop_id, actions=ALL) == answer
    assert git(repo, "for-each-ref") == before


async def test_a_loop_that_did_not_end_green_is_delivered_nowhere(server: Served, root: Path):
    repo = bare(root, "red", **{"keys.py": WEAK})
    red = await looped(server, repo, quality_gates=[TESTS, RED])
    assert (red["exit_reason"], red["gate_status"]) == ("no_progress", "red"), red
    assert [each["outcome"] for each in red["iterations"]][:1] == ["kept"], "there would be something to deliver"
    left = bare(root, "left", **{"keys.py": WEAK + "import yaml\n\nx = yaml.load(1, Loader=key)\ny = eval(key)\n"})
    weak = await looped(server, left, gate={"severity_gate": "P2"})
    assert (weak["exit_reason"], weak["gate_status"]) == ("no_progress", "green"), weak
    answer = await delivered(server, red["loop_id"], weak["loop_id"], actions=ALL)
    assert codes(answer) == ["GATE_NOT_GREEN"] * 2, answer
    assert [each["delivery_run_id"] for each in answer["results"]] == [None, None]
    assert "red" in answer["results"][0]["error"]["message"]
    assert [git(each, "for-each-ref", "refs/heads/omar", "refs/pull") for each in (repo, left)] == ["", ""]


async def test_a_loops_gate_is_green_of_its_tree_as_the_loop_counts_it_whether_it_ended_or_is_paused(
    server: Served, root: Path
):
    loop = await looped(server, bare(root, "counted", **{"keys.py": WEAK}))
    record = await server.house.services.engine.store.record(loop["loop_id"])
    assert record is not None
    course = record.run.course
    assert course is not None
    assert course.loop is not None
    assert course.loop.terms is not None
    for status, counts, code in (
        ("green", "red", None),
        ("flaky", "green", None),
        ("flaky", "red", "GATE_NOT_GREEN"),
        ("not_run", "green", "GATE_NOT_GREEN"),
        (None, "green", "GATE_NOT_GREEN"),
    ):
        gates = () if status is None else (replace(course.gates[0], status=status),)
        (gate,) = course.loop.terms.quality_gates
        terms = replace(course.loop.terms, quality_gates=(replace(gate, flaky_is=counts),))
        loop_course = replace(course.loop, gates=gates, terms=terms)
        for state in ("completed", "paused"):
            told = refused(replace(record.run, state=state, course=replace(course, gates=gates, loop=loop_course)))
            assert (told and told.code) == code, (status, counts, state)


async def test_k11_two_loops_over_one_repository_have_a_branch_each_and_a_base_that_moved_stops_the_later(
    server: Served, root: Path
):
    repo = bare(root, "twice", **{"keys.py": WEAK})
    loops = [(await looped(server, repo, ref="main"))["loop_id"] for _ in range(2)]
    ada = await member(server, "Ada")
    asked, later = (await delivered(server, *loops, actions=ALL))["results"]
    await allow(server, asked, ada)
    (first,) = (await delivered(server, loops[0], actions=ALL))["results"]
    assert first["pr"]["number"] == 1

    work = Repository(root / "twice-work")
    now = work.commit(c="later\n")
    work.git("push", "--quiet", str(repo), "main")
    before = git(repo, "for-each-ref")
    await allow(server, later, ada)
    (stopped,) = (await delivered(server, loops[1], actions=ALL))["results"]
    assert stopped["error"]["code"] == "BASE_MOVED", stopped
    assert now in stopped["error"]["message"]
    assert git(repo, "for-each-ref") == before

    (asked,) = (await delivered(server, loops[1], actions=ALL, if_base_moved="deliver"))["results"]
    await allow(server, asked, ada)
    (second,) = (await delivered(server, loops[1], actions=ALL, if_base_moved="deliver"))["results"]
    assert [each["branch"] for each in (first, second)] == [f"omar/{loop_id}" for loop_id in loops]
    assert (second["pr"]["number"], second["commit_sha"] != first["commit_sha"]) == (2, True)
    assert (await delivered(server, loops[0], actions=ALL))["results"] == [first], "what came about stays so"
