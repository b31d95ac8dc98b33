"""A server dies wherever the log of a loop ends just now: the loop goes on elsewhere, and ends as if nothing happened.

Nothing is written any more behind the transaction with that event. With `RUNWRIGHT_TEST_SOAK` a server dies behind
every event, in parts that end in time; without it behind some.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

from runwright.domain.loop_terms import LoopApproval, LoopApprovals
from runwright.domain.quality_gate import QualityGate
from tests.engine.repairing import Workshop, edits, workshop

__all__ = ["workshop"]

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
PARTS = 12 if SOAK else 1
EVERY = 24
FILES = {"app__py": "one = 1\nbad = 1  # BAD-P1 x\n", "lib__py": "a = 1  # BAD-P2 MEND\nb = 2\n"}
ANSWERS = (
    edits({"path": "app.py", "content": "one = 1\nbad = 2  # BAD-P1 x\n"}),
    edits({"path": "app.py", "content": "one = 1\n"}),
)
ONCE = ("loop.started", "loop.surveyed", "loop.stopped", "run.completed")
TERMS: dict[str, Any] = {
    "quality_gates": (QualityGate(id="whole", command=("sh", "-c", "! grep -q broken app.py")),),
    "approvals": LoopApprovals(patch=LoopApproval()),
}


async def what_happened(workshop: Workshop, run_id: str) -> Any:
    """Return what is the same of a loop, whoever died in it."""
    run = await workshop.until(run_id)
    loop = await workshop.checked(run)
    types = Counter(await workshop.world.types(run_id))
    assert run.course is not None
    assert all(types[each] == 1 for each in ONCE), types
    assert types["iteration.started"] == types["iteration.completed"] == types["patch.proposed"] == loop.count
    assert types["finding.fixed"] == 2
    for each in ("tool.call", "tool.result"):
        told = await workshop.world.data_of(run_id, each, "tool_call_id")
        assert len(told) == len(set(told)), f"each command is told once: {each}"
    iterations = [(each.n, each.patcher, each.outcome, each.why, each.tree_hash) for each in loop.iterations]
    return loop.exit_reason, iterations, loop.tree_hash, run.course.gate_status, run.course.tool_calls


@pytest.mark.parametrize("part", range(PARTS))
async def test_k15_wherever_a_server_dies_the_loop_goes_on_and_ends_as_if_nothing_had_happened(
    workshop: Workshop, part: int
):
    models = await workshop.model("tries", *ANSWERS)
    first = await workshop.order(workshop.made(**FILES), models=models, **TERMS)
    calm = await what_happened(workshop, first)
    assert calm[0] == "clean"
    assert [each[2] for each in calm[1]] == ["kept", "reverted", "kept"]
    last = (await workshop.world.run(first)).seq
    for at in range(2 + part, last, PARTS) if SOAK else range(6, last, EVERY):
        workshop.dies_behind(lambda event, at=at: event.seq >= at)  # type: ignore[misc]
        run_id = await workshop.order(workshop.made(**FILES), models=models, **TERMS)
        await workshop.until(run_id, at)
        await workshop.die()
        assert await what_happened(workshop, run_id) == calm, f"it died behind event {at}"
    await workshop.world.check()


async def test_a_loop_outlives_one_server_after_the_other(workshop: Workshop):
    models = await workshop.model("tries", *ANSWERS)
    run_id = await workshop.order(workshop.made(**FILES), models=models, **TERMS)
    for at in (8, 25, 45):
        await workshop.until(run_id, at)
        await workshop.die()
    assert (await what_happened(workshop, run_id))[0] == "clean"
