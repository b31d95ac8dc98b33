"""What a loop does not get past: trees that hide from the look, and what becomes of large patches."""

from __future__ import annotations

import pytest

from runwright.domain.loop_terms import LoopApproval, LoopApprovals, Strategy
from tests.engine.repairing import Workshop, edits, workshop

__all__ = ["workshop"]

BAD = "one = 1\nbad = 1  # BAD-P1 x\n"


@pytest.mark.parametrize(
    "content",
    [BAD + "# " + "x" * 100_000 + "\n", "\ufffd" * 20 + BAD],
    ids=["a long line", "hardly a text"],
)
async def test_a_patch_that_hides_a_file_from_the_look_is_put_back(workshop: Workshop, content: str):
    models = await workshop.model("hides", edits({"path": "app.py", "content": content}))
    loop = await workshop.ended(workshop.made(app__py=BAD), models=models, max_iterations=1)
    (iteration,) = loop.iterations
    assert (loop.exit_reason, iteration.outcome) == ("max_iterations", "reverted")
    assert iteration.why.startswith("nobody would look into app.py any more: ")


async def test_a_large_patch_that_people_allow_is_the_one_that_was_proposed(workshop: Workshop):
    wide = "x" * 600_000
    models = await workshop.model(
        "writes-much",
        edits({"path": "app.py", "content": "one = 1\n"}, {"path": "data.txt", "content": f"{wide}y\n"}),
    )
    repo = workshop.made(app__py=BAD, data__txt=f"{wide}\n")
    loop = await workshop.ended(repo, models=models, approvals=LoopApprovals(patch=LoopApproval()))
    assert (loop.exit_reason, [each.outcome for each in loop.iterations]) == ("clean", ["kept"]), loop.iterations


async def test_many_small_changes_that_people_allow_are_those_that_were_proposed(workshop: Workshop):
    lines = [f"a{number} = 1\n" for number in range(12_000)]
    changed = [line.replace("1\n", "2\n") if number % 20 == 0 else line for number, line in enumerate(lines)]
    models = await workshop.model(
        "writes-often",
        edits({"path": "app.py", "content": "one = 1\n"}, {"path": "data.py", "content": "".join(changed)}),
    )
    repo = workshop.made(app__py=BAD, data__py="".join(lines))
    loop = await workshop.ended(
        repo,
        models=models,
        approvals=LoopApprovals(patch=LoopApproval()),
        strategy=Strategy(max_diff_lines=5_000),
    )
    assert (loop.exit_reason, [each.outcome for each in loop.iterations]) == ("clean", ["kept"]), loop.iterations
