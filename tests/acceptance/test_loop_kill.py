"""A server is killed amid a remediation loop, by `kill -9`; another one goes on, and it ends as if nothing had been.

Where it is killed is said by what a client sees of the loop, and by commands that stand still. `RUNWRIGHT_TEST_SOAK`
kills a server behind every event of a loop that asks people, in parts; without it one loop loses four servers.
"""

import os
from collections import Counter

import pytest

from tests.acceptance.mending import Mending, at, behind, database_kind, mending, open_directory
from tests.acceptance.speech import Json, said
from tests.waiting import until

__all__ = ["database_kind", "mending", "open_directory"]
pytestmark = pytest.mark.xdist_group("acceptance-loop-kill")

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
PARTS = 8
ONCE = ("loop.started", "loop.surveyed", "finding.opened", "finding.fixed", "loop.stopped", "run.completed")


async def came_of(mending: Mending, run_id: str, seen: list[Json]) -> Json:
    """Return what is the same of a loop, however often its server was killed."""
    listed = await mending.api.events(run_id)
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1)), "no gap, and no repeat"
    assert [(each["seq"], each["type"], each["data"]) for each in listed] == [
        (each["seq"], each["type"], each["data"]) for each in seen
    ]
    types = Counter(event["type"] for event in seen)
    assert [types[each] for each in ONCE] == [1] * len(ONCE), types
    assert types["iteration.started"] == types["patch.proposed"] == types["iteration.completed"] == 2, types
    calls = Counter(each["data"]["tool_call_id"] for each in seen if each["type"] == "tool.call")
    assert set(calls.values()) == {1}, "what is begun again is counted once"
    assert mending.places() == []
    await until(lambda: mending.processes() == [])
    loop = await said(mending.api.client.get(f"/api/v1/loops/omar/{run_id}"))
    told = ("exit_reason", "run_state", "gate_status", "gates", "findings", "coverage", "tree_sha", "without_progress")
    iterations = [
        {name: each[name] for name in ("n", "patcher", "patch", "verify", "outcome", "why", "tree_sha")}
        for each in loop["iterations"]
    ]
    return {"iterations": iterations, "calls": sorted(calls)} | {name: loop[name] for name in told}


async def test_k15_a_loop_whose_servers_are_killed_amid_its_steps_ends_as_if_nothing_had_happened(mending: Mending):
    first = await mending.order()
    calm = await came_of(mending, first, await mending.seen(first, None, []))
    assert (calm["exit_reason"], calm["gate_status"]) == ("clean", "green")
    assert [each["outcome"] for each in calm["iterations"]] == ["reverted", "kept"]

    for name in ("scan", "0_whole_1", "2_whole_1"):
        mending.hold(name)
    run_id = await mending.order()
    seen: list[Json] = []
    for where, held in (
        (at("terminal.output", command_id="cmd_0_whole_1"), "0_whole_1"),
        (at("tool.call", tool_call_id="cmd_0_look_1"), "scan"),
        (at("llm.request"), ""),
        (at("terminal.output", command_id="cmd_2_whole_1"), "2_whole_1"),
    ):
        seen = await mending.seen(run_id, where, seen)
        if held:
            await until(lambda: len(mending.processes()) > 0)
            assert mending.places() != [], "it works at a tree of its own"
        mending.let(held or "nothing")
        await mending.die()
    seen = await mending.seen(run_id, None, seen)
    assert await came_of(mending, run_id, seen) == calm
    assert Counter(each["type"] for each in seen)["run.recovered"] == 4


@pytest.mark.parametrize("part", range(PARTS) if SOAK else [0])
async def test_k15_a_server_is_killed_behind_an_event_of_a_loop_that_asks_people(mending: Mending, part: int):
    asks = {"approvals": {"patch": {"quorum": 1}}}
    first = await mending.order(**asks)
    whole = await mending.seen(first, None, [])
    calm = await came_of(mending, first, whole)
    assert [each["outcome"] for each in calm["iterations"]] == ["reverted", "kept"]
    asked = next(each["seq"] for each in whole if each["type"] == "approval.requested")
    for seq in range(1 + part, len(whole), PARTS) if SOAK else [asked]:
        run_id = await mending.order(**asks)
        seen = await mending.seen(run_id, behind(seq), [])
        await mending.die()
        if seen[-1]["type"] == "approval.requested":
            await mending.approve(run_id)
        seen = await mending.seen(run_id, None, seen)
        assert await came_of(mending, run_id, seen) == calm, f"its server was killed behind event {seq}"
