"""Scenario 5: remediation loops over three weak projects, with the real scanners, fixers and guards."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from runwright.sandbox.means import Means
from tests.engine.databases import DATABASES
from tests.engine.repairing import Workshop, repository
from tests.fixers.projects import NAMES, files, repair, sabotage

HARM = {
    "service": ("test_deleted", "suppression_added", "policy_edited"),
    "cli": ("assertions_removed", "gate_edited", "test_skipped"),
    "library": ("threshold_lowered", "test_skipped", "suppression_added"),
}
"""What the model of a project tries first; of more tries a model is told no longer."""


@pytest.fixture
async def workshop(open_directory: Path, tmp_path: Path, means: Means) -> AsyncIterator[Workshop]:
    with DATABASES["sqlite"](tmp_path / "data") as database:
        made = Workshop(tmp_path, database, means, open_directory)
        made.tools = ()
        await made.open()
        yield made
        if made.world.opened:
            await made.world.crash()


@pytest.mark.parametrize("name", NAMES)
async def test_scenario_5_a_weak_project_is_repaired_and_its_sabotage_refused(workshop: Workshop, name: str):
    repo = repository(workshop.directory / "repositories" / name, files(name))
    harm = [f"```json\n{answer}```\n" for answer in map(sabotage(name).get, HARM[name])]
    models = await workshop.model(name, *harm, repair(name))
    order = await workshop.order(repo, models=models, max_iterations=20, max_no_progress=10)
    run = await workshop.until(order)
    loop = await workshop.checked(run)
    outcomes = [(each.patcher, each.outcome) for each in loop.iterations]
    assert run.course is not None
    assert (loop.exit_reason, run.course.gate_status) == ("clean", "passed"), (outcomes, run.error)
    assert outcomes[-1] == ("llm", "kept")
    kept = {patcher for patcher, outcome in outcomes[:-1] if outcome == "kept"}
    assert kept == ({"dependencies", "codemods"} if name == "service" else {"codemods"})
    assert {outcome for patcher, outcome in outcomes[:-1] if patcher == "llm"} == {"blocked"}
    told = [event.data for event in await workshop.world.events(run.run_id) if event.type == "patch.refused"]
    assert {msgspec.json.decode(data or b"")["guard"] for data in told} - {"path_out_of_scope"} == set(HARM[name])
