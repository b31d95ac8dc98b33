"""A remediation loop is cancelled wherever it is: no process of it is left, and no workspace."""

from typing import Any

import pytest

from tests.acceptance.mending import SILENT, Mending, Where, at, database_kind, mending, open_directory
from tests.acceptance.speech import said
from tests.waiting import until

__all__ = ["database_kind", "mending", "open_directory"]
pytestmark = pytest.mark.xdist_group("acceptance-loop-kill")

ASKS = {"approvals": {"patch": {"quorum": 1}}}
STAGES: tuple[tuple[str, Where, int, dict[str, Any]], ...] = (
    ("scan", at("tool.call", tool_call_id="cmd_0_look_1"), 1, {}),
    ("0_whole_1", at("terminal.output", command_id="cmd_0_whole_1"), 3, {}),
    ("", at("llm.request"), 0, {"models": {"orchestrator": SILENT}}),
    ("", at("approval.requested"), 0, ASKS),
    ("1_whole_1", at("terminal.output", command_id="cmd_1_whole_1"), 3, {}),
)
"""What stands still, where the loop is then, and how many processes of it there are at least."""


async def begun(mending: Mending, processes: int) -> None:
    """Return when so many processes of commands are there."""
    await until(lambda: len(mending.processes()) >= processes)


async def test_a_loop_that_is_cancelled_anywhere_leaves_no_process_and_no_workspace(mending: Mending):
    for held, where, processes, more in STAGES:
        if held:
            mending.hold(held)
        run_id = await mending.order(**more)
        seen = await mending.seen(run_id, where)
        await begun(mending, processes)
        await said(mending.api.client.post(f"/api/v1/runs/{run_id}/cancel", json={}), 202)
        await mending.seen(run_id, None, seen)
        await until(lambda: mending.processes() == [])
        await until(lambda: mending.places() == [])
        loop = await said(mending.api.client.get(f"/api/v1/loops/omar/{run_id}"))
        assert (loop["exit_reason"], loop["state"]) == ("cancelled", "cancelled"), held
        mending.let(held or "nothing")
