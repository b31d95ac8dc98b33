"""The gates of loops: flaky ones, what a model is told of a red one, and how they are cleared up."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec
import pytest

from runwright.agents.notes import Note
from runwright.domain.agent_terms import Budget
from runwright.domain.events import Event
from runwright.domain.quality_gate import CoverageReport, QualityGate
from runwright.domain.runtime_events import Narrative
from runwright.domain.terminal_events import STARTED
from runwright.executors.omar.journal import Journal
from runwright.sandbox.surely import surely
from tests.agents.tools.bench import processes_with
from tests.breaking import broken_off
from tests.engine.repairing import WAITS_S, Workshop, edits, workshop
from tests.engine.world import PROJECT
from tests.waiting import until

__all__ = ["workshop"]

FIRST = 'case "$RUNWRIGHT_STEP_ID" in *_1)'
"""A gate knows at which try it is."""
FLAKY = f"{FIRST} echo it fails; exit 1;; esac; echo it is well"
CLEAN = "one = 1\n"
BAD = "one = 1\nbad = 1  # BAD-P1 x\n"


def gate(script: str, ident: str = "unit", **more: Any) -> QualityGate:
    """Return a gate that is a script of the shell."""
    return QualityGate(id=ident, command=("sh", "-c", script), **more)


async def told(workshop: Workshop, run_id: str) -> list[str]:
    """Return what the model that repeats all was told, each time that it was asked."""
    events = await workshop.world.events(run_id)
    return [msgspec.json.decode(each.data or b"")["text"] for each in events if each.type == "llm.response"]


@pytest.mark.parametrize(
    ("counts", "reason", "color"), [("red", "no_progress", "blocked"), ("green", "clean", "passed")]
)
async def test_k6_a_gate_that_is_green_at_its_second_try_is_flaky_and_counts_as_it_says(
    workshop: Workshop, counts: Literal["red", "green"], reason: str, color: str
):
    repo = workshop.made(app__py=CLEAN)
    run = await workshop.until(await workshop.order(repo, quality_gates=(gate(FLAKY, flaky=counts),)))
    loop = await workshop.checked(run)
    assert run.course is not None
    assert (loop.exit_reason, run.course.gate_status, run.course.tool_calls) == (reason, color, 2)
    verdict = await workshop.world.data(run.run_id, "gate.result")
    assert verdict["status"] == "flaky"
    assert verdict["detail"] == "red: it ended with the exit code 1; then green: it ended with the exit code 0"
    assert [each.status for each in loop.gates] == ["flaky"]


async def test_k6_a_policy_says_what_a_flaky_gate_counts_as_and_an_order_does_not_weaken_it(workshop: Workshop):
    for word, reason in (("green", "clean"), ("red", "no_progress")):
        rule = f"quality_gates: [{{id: unit, command: [sh, -c, {msgspec.json.encode(FLAKY).decode()}], flaky: {word}}}]"
        repo = workshop.made(app__py=CLEAN, **{"__runwright/policy__yaml": f"version: 1\n{rule}\n"})
        loop = await workshop.ended(repo, quality_gates=(gate("true", flaky="green"),))
        assert (loop.exit_reason, [each.status for each in loop.gates]) == (reason, ["flaky"])


async def test_k6_a_gate_that_is_red_at_both_tries_is_red_and_one_that_is_not_tried_again_is_not_flaky(
    workshop: Workshop,
):
    for made, tries in ((gate("exit 1"), 2), (gate(FLAKY, retries=0), 1)):
        run_id = await workshop.order(workshop.made(app__py=CLEAN), quality_gates=(made,))
        loop = await workshop.checked(await workshop.until(run_id))
        verdict = await workshop.world.data(run_id, "gate.result")
        assert (verdict["status"], loop.exit_reason) == ("red", "no_progress")
        assert verdict["detail"].count("it ended with the exit code 1") == tries, "each result is recorded"


async def test_k6_a_patch_that_makes_a_green_gate_flaky_is_put_back(workshop: Workshop):
    models = await workshop.model("shakes", edits({"path": "app.py", "content": "one = 1\nshaky = 1\n"}))
    shaky = gate(f"{FIRST} ! grep -q shaky app.py;; esac")
    loop = await workshop.ended(workshop.made(app__py=BAD), models=models, quality_gates=(shaky,), max_iterations=1)
    (iteration,) = loop.iterations
    assert (iteration.outcome, iteration.gates) == ("reverted", {"unit": "flaky"})
    assert iteration.why == "the gate unit was green, and is not any more"


async def test_k6_a_red_gate_is_not_tried_again_where_nothing_is_left_for_it(workshop: Workshop):
    loop = await workshop.ended(workshop.made(app__py=CLEAN), quality_gates=(gate(FLAKY),), budget=Budget(tool_calls=1))
    assert (loop.exit_reason, [each.status for each in loop.gates]) == ("budget_tool_calls", ["red"])


async def test_k6_a_loop_whose_server_dies_between_the_two_tries_of_a_gate_ends_as_any_other(workshop: Workshop):
    order = {"quality_gates": (gate(FLAKY, flaky="green"),)}
    whole = await workshop.until(await workshop.order(workshop.made(app__py=CLEAN), **order))
    types = await workshop.world.types(whole.run_id)
    first = types.index("tool.result") + 1
    assert "gate.result" not in types[:first]
    run_id = await workshop.order(workshop.made(app__py=CLEAN), **order)
    await workshop.until(run_id, first)
    await workshop.die()
    run = await workshop.until(run_id)
    loop = await workshop.checked(run)
    assert (loop.exit_reason, [each.status for each in loop.gates]) == ("clean", ["flaky"])
    assert run.course is not None
    assert run.course.tool_calls == 2, "what was begun again is counted once"


COVERED = (
    f"{FIRST} rate=0.25; end=1;; *) rate=0.5; end=0;; esac; echo \"<coverage line-rate='$rate'>\" > c.xml; exit $end"
)
"""A gate that is red, then green, and measures something else each time."""


@pytest.mark.parametrize("number", [1, 2])
async def test_a_try_of_a_gate_that_the_log_tells_is_not_made_again_by_whoever_goes_on(workshop: Workshop, number: int):
    gates = (gate(COVERED, flaky="green", coverage=CoverageReport(file="c.xml")), gate("exit 3", "last", retries=0))
    calm = await workshop.order(workshop.made(app__py=CLEAN), quality_gates=gates)
    await workshop.checked(await workshop.until(calm))
    results: list[Event] = []

    def dies(event: Event) -> bool:
        results.extend([event] if event.type == "tool.result" else [])
        return len(results) == number

    dead = workshop.dies_behind(dies)
    run_id = await workshop.order(workshop.made(app__py=CLEAN), quality_gates=gates)
    async with asyncio.timeout(WAITS_S):
        await dead.wait()
    await workshop.die()
    assert results[-1].type not in (await workshop.world.types(run_id))[results[-1].seq :], "it died right behind it"
    await workshop.checked(await workshop.until(run_id))
    for type_, name in (("tool.call", "tool_call_id"), ("tool.result", "tool_call_id"), (STARTED, "command_id")):
        ran = await workshop.world.data_of(run_id, type_, name)
        assert ran == ["cmd_0_unit_1", "cmd_0_unit_2", "cmd_0_last_1"], type_
    assert await verdicts(workshop, run_id) == await verdicts(workshop, calm)
    assert (await verdicts(workshop, run_id))[0][2] == 0.5


async def verdicts(workshop: Workshop, run_id: str) -> list[tuple[Any, ...]]:
    """Return what the gates of a loop said."""
    names = ("gate_id", "detail", "coverage", "exit_code")
    events = [each for each in await workshop.world.events(run_id) if each.type == "gate.result"]
    return [tuple(map(msgspec.json.decode(each.data or b"").get, names)) for each in events]


async def asked(workshop: Workshop, *gates: QualityGate, app: str = CLEAN, **more: Any) -> list[str]:
    """Return what a model was told of gates."""
    models = await workshop.model("echo")
    run_id = await workshop.order(
        workshop.made(app__py=app), models=models, quality_gates=gates, max_no_progress=1, **more
    )
    await workshop.checked(await workshop.until(run_id))
    return await told(workshop, run_id)


async def test_a_model_is_told_what_a_flaky_gate_printed_when_it_failed(workshop: Workshop):
    (said,) = await asked(workshop, gate(FLAKY))
    assert "The gate unit is flaky: it failed, and then it did not. When it failed it ended with:" in said
    assert "it fails\n" in said
    assert "it is well" not in said


async def test_a_model_is_told_what_this_gate_printed_and_not_what_one_did_that_is_called_alike(workshop: Workshop):
    (said,) = await asked(workshop, gate("echo mine; exit 1"), gate("echo another", "my_unit"))
    assert "The gate unit is red. It ended with:" in said
    assert "mine\n" in said
    assert "another" not in said


async def test_a_model_is_told_what_a_gate_printed_however_much_others_printed_after_it(workshop: Workshop):
    prints = "i=0; while test $i -lt 300; do i=$((i+1)); echo $i; echo $i >&2; sleep 0.005; done"
    (said,) = await asked(workshop, gate("echo mine; exit 1"), gate(prints, "loud"))
    assert "mine\n" in said


async def test_a_model_is_told_what_a_gate_printed_over_the_tree_that_is_kept(workshop: Workshop):
    models = await workshop.model("echo")
    shows, needs = gate("cat lib.py; exit 1"), gate("grep -q MEND lib.py", "needs")
    repo = workshop.made(lib__py="a = 1  # BAD-P2 MEND\n")
    run_id = await workshop.order(repo, models=models, quality_gates=(shows, needs), max_no_progress=3)
    loop = await workshop.checked(await workshop.until(run_id))
    assert [each.outcome for each in loop.iterations] == ["reverted", "no_change", "no_change"]
    _, said = await told(workshop, run_id)
    assert said.startswith("The gate unit is red. It ended with:")
    assert "a = 1  # BAD-P2 MEND" in said, "and not the tree of the patch that was put back"


async def test_a_loop_that_is_cancelled_while_a_gate_is_cleared_up_goes_no_further_than_to_write_what_it_did(
    workshop: Workshop,
):
    run_id = await workshop.order(workshop.made(app__py=CLEAN), quality_gates=(gate("echo begun; sleep 3600"),))
    await workshop.until(run_id, 6)
    (attempt,) = workshop.world.attempts()
    came: list[str] = []
    text = workshop.world.engine.vault.redactors.of(PROJECT.project_id).text("done")

    async def work() -> None:
        await surely(asyncio.sleep(0))
        came.append("cleared")
        await Journal(attempt).write([Note("output.narrative", Narrative(text))])
        came.append("on")

    assert await broken_off(work(), 1)
    assert came == ["cleared"]
    assert "output.narrative" in await workshop.world.types(run_id)


async def test_a_loop_that_is_given_up_again_and_again_while_it_clears_up_leaves_nothing(workshop: Workshop):
    marker = f"given-up-{id(workshop)}"
    await workshop.order(workshop.made(app__py=CLEAN), quality_gates=(gate(f"sleep 3600; echo {marker}"),))
    await until(lambda: processes_with(marker), patience_s=WAITS_S)
    async with asyncio.timeout(WAITS_S):
        (attempt,) = workshop.world.attempts()
        assert attempt.task is not None
        while not attempt.task.done():
            attempt.task.cancel()
            await asyncio.sleep(0)
    assert (list(workshop.places()), processes_with(marker)) == ([], [])
