"""A fixer at work when its loop is cancelled, or loses its server: no process is left, and its command counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from runwright.domain.finding import Finding
from runwright.domain.patch import Patch, PatchBounds
from runwright.sandbox.command import Command
from runwright.sandbox.scanner import Ground
from tests.agents.tools.bench import processes_with
from tests.engine.repairing import WAITS_S, Marks, Mender, Workshop, workshop
from tests.waiting import until

__all__ = ["workshop"]

MENDABLE = "one = 1\nbad = 1  # BAD-P1 MEND\n"
STAYS = "trap '' TERM INT HUP; setsid sleep 3600 & sleep 3600; echo"


class Slow(Mender):
    """Stands still in a command that ignores signals and has a daemon, until it may go on; then it mends."""

    name = "slow"

    def __init__(self, marker: str) -> None:
        self.marker = marker
        self.stands = True

    async def propose(self, ground: Ground, findings: Sequence[Finding], bounds: PatchBounds) -> Patch | None:
        """Run the command, and return the patch."""
        words = ("sh", "-c", f"{STAYS if self.stands else 'echo'} {self.marker}")
        await ground.run(Command(words, 600.0, 1 << 28, 1, 1 << 20))
        return await super().propose(ground, findings, bounds)


async def standing(workshop: Workshop) -> tuple[str, Slow]:
    """Make a loop whose fixer stands still; return its id, and the fixer."""
    fixer = Slow(f"fixes-{id(workshop)}")
    workshop.tools = ((fixer,), lambda policy, base: (Marks(),))
    await workshop.reopen()
    run_id = await workshop.order(workshop.made(app__py=MENDABLE))
    await until(lambda: len(processes_with(fixer.marker)) >= 2, patience_s=WAITS_S)
    return run_id, fixer


async def test_a_loop_that_is_cancelled_while_a_fixer_works_leaves_no_process_and_no_workspace(workshop: Workshop):
    run_id, fixer = await standing(workshop)
    await workshop.world.stop(run_id)
    loop = await workshop.checked(await workshop.until(run_id))
    assert (loop.exit_reason, loop.count) == ("cancelled", 0)
    assert processes_with(fixer.marker) == []


async def test_k15_a_loop_whose_server_dies_while_a_fixer_works_has_it_begin_again_and_counts_its_command_once(
    workshop: Workshop,
):
    run_id, fixer = await standing(workshop)
    fixer.stands = False
    await workshop.die()
    run = await workshop.until(run_id)
    loop = await workshop.checked(run)
    assert (loop.exit_reason, [each.patcher for each in loop.iterations]) == ("clean", ["slow"])
    assert run.course is not None
    assert run.course.tool_calls == 1
    assert Counter(await workshop.world.types(run_id))["tool.call"] == 1
    assert processes_with(fixer.marker) == []
