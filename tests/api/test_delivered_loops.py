"""Deliveries of remediation loops through the API: what a loop repaired becomes a pull request, if all is green."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import httpx2
import pytest
from msgspec.structs import replace

from runwright import config
from runwright.app import open_house
from runwright.errors import Conflict, Overloaded
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


async def looped(server: Served, repo: Path, *, by: httpx2.AsyncClient | None = None, **order: Any) -> dict[str, Any]:
    """Return a loop of fixers alone over a repository, once it has ended."""
    strategy = {"patchers": ["deterministic"]}
    body = {"repo": str(repo), "quality_gates": [TESTS], "strategy": strategy, **order}
    shown: dict[str, Any] = await ok((by or server.admin).post(LOOPS, json=body), 202)
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
    assert "| P1 | 1 | 0 |" in told["body"], told["body"]
    assert f"Gates of this tree: `{TESTS['id']}` green." in told["body"]

    clone = root / "mended-clone"
    git(root, "clone", "--quiet", "--branch", branch, str(repo), str(clone))
    assert (clone / "keys.py").read_text() == MENDED
    assert git(clone, "diff", "--name-status", "origin/main", "HEAD") == "M\tkeys.py"
    before = git(repo, "for-each-ref")
    assert await delivered(server, loop_id, actions=ALL) == answer
    assert git(repo, "for-each-ref") == before


async def settled(server: Served, loop_id: str, *states: str) -> dict[str, Any]:
    """Return a loop once its delivery has come so far."""
    path = f"{LOOPS}/{loop_id}"
    shown: dict[str, Any] = await ok(server.admin.get(path))
    while shown["delivery"]["state"] not in states:
        shown = await ok(server.admin.get(path, params={"wait": 5}))
    return shown


async def deliveries_of(server: Served, loop_id: str) -> list[str]:
    """Return the runs that deliver a loop."""
    store = server.house.services.engine.store
    listed = [each["run_id"] for each in await ok(server.admin.get("/api/v1/runs", params={"limit": 500}))]
    runs = [record.run for run_id in listed if (record := await store.record(run_id)) is not None]
    return [run.run_id for run in runs if run.spec.kind == "delivery" and run.spec.triggered_by_run_id == loop_id]


async def test_a_loop_asks_for_its_delivery_by_itself_once_and_tells_what_came_of_it(server: Served, root: Path):
    repo = bare(root, "itself", **{"keys.py": WEAK})
    maker, ada = await member(server, "Grace", "admin"), await member(server, "Ada")
    deliver = {"actions": ALL, "branch": {"template": "fix/{run_id}"}, "pr": {"title": "Mend keys"}}
    loop = await looped(server, repo, deliver=deliver, by=maker)
    loop_id = loop["loop_id"]
    asking = await settled(server, loop_id, "awaiting_approval")
    told = asking["delivery"]
    assert (asking["run_state"], asking["state"], asking["exit_reason"]) == ("completed", "delivering", "clean")
    assert "approval" in asking["next_action"]
    assert (told["actions"], told["branch"], told["error"]["code"]) == (ALL, f"fix/{loop_id}", "APPROVAL_MISSING")
    assert git(repo, "for-each-ref", "refs/heads/fix", "refs/pull") == "", "nothing is done before it is allowed"
    (asked,) = (await delivered(server, loop_id))["results"]
    assert asked["delivery_run_id"] == told["delivery_run_id"], "who says nothing else means what the order says"
    (waiting,) = await ok(server.admin.get(f"/api/v1/runs/{told['delivery_run_id']}/approvals"))
    vote = {name: waiting[name] for name in ("checkpoint_id", "subject_sha256")} | {"decision": "approve"}
    own = await maker.post(f"/api/v1/runs/{told['delivery_run_id']}/approvals", json=vote)
    assert (own.status_code, own.json()["error"]["code"]) == (403, "SELF_APPROVAL_FORBIDDEN"), own.text

    etag = (await server.admin.get(f"{LOOPS}/{loop_id}")).headers["etag"]
    held = await server.admin.get(f"{LOOPS}/{loop_id}", headers={"If-None-Match": etag})
    assert held.status_code == 304
    waiting = asyncio.create_task(
        server.admin.get(f"{LOOPS}/{loop_id}", params={"wait": 30}, headers={"If-None-Match": etag})
    )
    await allow(server, asked, ada)
    assert (await waiting).headers["etag"] != etag, "what becomes of the delivery is news of the loop"
    done = await settled(server, loop_id, "succeeded", "failed", "denied")
    said = done["delivery"]
    assert (done["state"], said["state"], said["error"]) == ("succeeded", "succeeded", None), said
    assert git(repo, "rev-parse", f"fix/{loop_id}") == said["commit_sha"] == told["commit_sha"]
    assert json.loads(git(repo, "show", f"refs/pull/{said['pr']['number']}/from/fix/{loop_id}"))["title"] == "Mend keys"
    before = git(repo, "for-each-ref")
    await server.house.services.loop_deliveries.begin(loop_id, b"null")
    (again,) = (await delivered(server, loop_id))["results"]
    assert (again["status"], again["delivery_run_id"]) == ("succeeded", told["delivery_run_id"])
    assert await deliveries_of(server, loop_id) == [told["delivery_run_id"]]
    assert git(repo, "for-each-ref") == before


async def test_whoever_asks_at_once_there_is_one_delivery(server: Served, root: Path):
    begin = server.house.services.loop_deliveries.begin

    async def nobody(run_id: str, body: bytes) -> None:
        raise Conflict("not yet")

    server.house.services.engine.inbox.attend("deliver", nobody)
    loop_id = (await looped(server, bare(root, "once", **{"keys.py": WEAK}), deliver={"actions": ALL}))["loop_id"]
    errands = [begin(loop_id, b"null") for _ in range(5)]
    answers = (await asyncio.gather(*[delivered(server, loop_id) for _ in range(3)], *errands))[:3]
    (only,) = await deliveries_of(server, loop_id)
    assert {each["delivery_run_id"] for answer in answers for each in answer["results"]} == {only}


async def test_a_delivery_that_people_denied_is_not_begun_again_by_the_loop(server: Served, root: Path, tmp_path: Path):
    loop = await looped(server, bare(root, "denied", **{"keys.py": WEAK}), deliver={"actions": ALL})
    told = (await settled(server, loop["loop_id"], "awaiting_approval"))["delivery"]
    (asked,) = (await delivered(server, loop["loop_id"]))["results"]
    await allow(server, asked, await member(server, "Ada"), "deny")
    shown = await settled(server, loop["loop_id"], "denied")
    assert (shown["state"], shown["delivery"]["error"]["code"]) == ("succeeded", "APPROVAL_DENIED"), shown
    with closing(apsw.Connection(str(tmp_path / "runwright.db"))) as file:
        file.set_busy_timeout(10_000)  # the server may be writing
        file.execute("DELETE FROM idempotency")  # they are forgotten after a day
    await server.house.services.loop_deliveries.begin(loop["loop_id"], b"null")
    assert await deliveries_of(server, loop["loop_id"]) == [told["delivery_run_id"]]


async def test_a_loop_that_did_not_end_as_its_order_says_asks_for_nothing(server: Served, root: Path):
    still = bare(root, "still", **{"keys.py": MENDED})
    left = bare(root, "unclean", **{"keys.py": WEAK + "x = eval(key)\n"})
    told = [
        await looped(server, still, deliver={}),
        await looped(server, left, deliver={}),
        await looped(server, left, deliver={"when": "passed"}, quality_gates=[TESTS, RED]),
    ]
    shown = [loop["delivery"] for loop in told]
    assert [each["state"] for each in shown] == ["not_due"] * 3, shown
    assert [each["error"] and each["error"]["code"] for each in shown] == ["NOTHING_TO_COMMIT", None, "GATE_NOT_GREEN"]
    assert [loop["state"] for loop in told] == ["succeeded", "exhausted", "exhausted"]
    passed = await looped(server, left, deliver={"when": "passed"}, gate={"severity_gate": "P0"})
    assert (await settled(server, passed["loop_id"], "awaiting_approval"))["exit_reason"] == "no_progress"
    assert [await deliveries_of(server, loop["loop_id"]) for loop in told] == [[]] * 3


async def test_a_loop_that_was_cancelled_asks_for_nothing(server: Served, root: Path):
    slow = {"id": "slow", "command": ["sleep", "60"]}
    repo = bare(root, "cancelled", **{"keys.py": WEAK})
    body = {"repo": str(repo), "quality_gates": [slow], "deliver": {"actions": ALL}}
    loop_id = (await ok(server.admin.post(LOOPS, json=body), 202))["loop_id"]
    assert (await ok(server.admin.get(f"{LOOPS}/{loop_id}")))["delivery"]["state"] == "pending"
    await ok(server.admin.post(f"/api/v1/runs/{loop_id}/cancel"), 202)
    shown = await settled(server, loop_id, "not_due")
    assert (shown["run_state"], shown["delivery"]["error"]) == ("cancelled", None)
    assert await deliveries_of(server, loop_id) == []


async def test_a_server_that_dies_between_the_end_of_a_loop_and_its_delivery_loses_neither(tmp_path: Path, root: Path):
    named = {"repository_roots": (str(root),), "forges": (f"local={root}",), "delivery_wait_s": 30}
    repo = bare(root, "between", **{"keys.py": WEAK})
    async with serving(tmp_path, scanners=("ruff",), **named) as server:

        async def dies(run_id: str, body: bytes) -> None:
            raise Conflict("it is dead")

        server.house.services.engine.inbox.attend("deliver", dies)
        loop = await looped(server, repo, deliver={"actions": ALL})
        assert (loop["exit_reason"], loop["delivery"]["state"]) == ("clean", "under_way")
        assert await deliveries_of(server, loop["loop_id"]) == []
        token = server.admin_token
    async with open_house(config.load({}, overrides={"data_dir": tmp_path, **named})) as house:
        server = Served(house, token)
        shown = await settled(server, loop["loop_id"], "awaiting_approval")
        assert await deliveries_of(server, loop["loop_id"]) == [shown["delivery"]["delivery_run_id"]]


async def unbegun(server: Served, repo: Path, **order: Any) -> str:
    """Return a loop that has ended, whose delivery nobody begins yet."""

    async def nobody(run_id: str, body: bytes) -> None:
        raise Overloaded("not yet")

    server.house.services.engine.inbox.attend("deliver", nobody)
    loop = await looped(server, repo, **order)
    assert (loop["exit_reason"], loop["state"], loop["delivery"]["state"]) == ("clean", "delivering", "under_way"), loop
    return str(loop["loop_id"])


async def begun(server: Served, loop_id: str) -> dict[str, Any]:
    """Return a loop once its delivery has failed, with what is told of that checked."""
    inbox = server.house.services.engine.inbox
    inbox.attend("deliver", server.house.services.loop_deliveries.begin)
    inbox.loop.wake()
    shown = await settled(server, loop_id, "failed", "awaiting_approval")
    told = shown["delivery"]
    assert (shown["state"], shown["exit_reason"], told["state"]) == ("succeeded", "clean", "failed"), shown
    assert "by hand" in shown["next_action"]
    assert not told["error"]["retryable"]
    evidence = await ok(server.admin.get(f"/api/v1/runs/{told['delivery_run_id']}/evidence"))
    types = [each["type"] for each in evidence["timeline"]["events"]]
    assert "delivery.refused" in types
    assert "approval.requested" not in types, "nobody is asked for what cannot come about"
    return dict(told)


async def test_a_delivery_whose_forge_was_taken_out_of_the_settings_fails_and_says_so_before_people_are_asked(
    tmp_path: Path, root: Path
):
    named = {"repository_roots": (str(root),), "forges": (f"local={root}",), "delivery_wait_s": 30}
    async with serving(tmp_path, scanners=("ruff",), **named) as server:
        loop_id = await unbegun(server, bare(root, "homeless", **{"keys.py": WEAK}), deliver={"actions": ALL})
        token = server.admin_token
    async with open_house(config.load({}, overrides={"data_dir": tmp_path, **named, "forges": ()})) as house:
        server = Served(house, token)
        told = await begun(server, loop_id)
        assert (told["error"]["code"], told["commit_sha"]) == ("FORGE_ERROR", None)
        assert "RUNWRIGHT_FORGES" in told["error"]["message"]
    async with open_house(config.load({}, overrides={"data_dir": tmp_path, **named})) as house:
        server = Served(house, token)
        (asked,) = (await delivered(server, loop_id))["results"]
        assert asked["error"]["code"] == "APPROVAL_MISSING", "by hand it is tried again"
        shown = await settled(server, loop_id, "awaiting_approval")
        assert shown["state"] == "delivering"


async def test_a_delivery_that_was_refused_for_good_before_it_began_fails_with_the_reason(server: Served, root: Path):
    author = {"name": "Ada", "email": "ada@analytical.engine"}
    deliver = {"actions": ALL, "commit": {"author": author}}
    loop_id = await unbegun(server, bare(root, "secret", **{"keys.py": WEAK}), deliver=deliver)
    await ok(server.admin.post("/v1/secrets", json={"name": "WHO", "value": author["email"]}), 201)
    told = await begun(server, loop_id)
    assert told["error"]["code"] == "TOOL_FAILED"
    assert "secret" in told["error"]["message"]
    assert author["email"] not in json.dumps(told)
    again = await server.admin.post(LOOPS, json={"repo": str(root / "secret.git"), "deliver": deliver})
    assert (again.status_code, again.json()["error"]["code"]) == (422, "VALIDATION"), again.text


async def test_a_delivery_that_nobody_could_make_is_refused_with_the_order_of_the_loop(server: Served, root: Path):
    repo = str(bare(root, "nobody", **{"keys.py": WEAK}))
    elsewhere = "https://code.example.org/acme/shop.git"
    for order, field in (
        ({"repo": repo, "deliver": {"actions": ["open_pr"]}}, "deliver.actions"),
        ({"repo": repo, "deliver": {"branch": {"template": "a..b"}}}, "deliver.branch.template"),
        ({"repo": elsewhere, "deliver": {"actions": ALL}}, "deliver.actions"),
    ):
        answer = await server.admin.post(LOOPS, json=order)
        assert answer.status_code == 422, answer.text
        assert field in answer.text, answer.text


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
        terms = replace(course.loop.terms, quality_gates=(replace(gate, flaky=counts),))
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
