"""The end of a run starts others, each once, whatever crashes; a chain that goes round has an end."""

from __future__ import annotations

from typing import Any

import pytest

from runwright import telemetry
from runwright.domain import outcome as o
from runwright.domain.errands import errand
from runwright.domain.run import Run
from runwright.engine.values import encode
from runwright.store.base import ChangeSet, Transaction
from tests.engine.test_dependencies import end, errands, stored, trigger
from tests.engine.world import ADMIN, PROJECT, World, failed

PROJECTS = "INSERT INTO projects (project_id, org_id, slug, name, weight, created_at) VALUES (?, ?, ?, ?, ?, ?)"


@pytest.fixture
async def town(world: World) -> World:
    """Return a world whose project is stored."""
    world.database.change(PROJECTS, PROJECT.project_id, PROJECT.org_id, PROJECT.slug, PROJECT.name, 1.0, 0)
    return world


def completed(world: World, run_id: str, result: Any) -> o.Completed:
    """Return the outcome of an attempt that gives a result."""
    encoded = encode(result)
    values = world.engine.values
    sealed = values.seal(PROJECT.project_id, run_id, "result", encoded)
    return o.Completed(values.ref(PROJECT.project_id, encoded), sealed)


async def made_by(world: World, run_id: str) -> list[tuple[Run, Any]]:
    """Return the runs that the end of a run started, with their payloads."""
    found = []
    for (each,) in world.rows("SELECT run_id FROM runs ORDER BY run_id"):
        record = await world.record(each)
        if record.run.spec.triggered_by_run_id == run_id:
            found.append((record.run, world.engine.values.payload(record.run.spec, record.payload)))
    return found


async def test_the_end_of_a_run_starts_what_its_job_names(town: World):
    await stored(town, "mail")
    await stored(town, "alarm")
    template = {"of": "{{run.id}}", "pages": "{{result.pages}}", "for": "{{payload.who}}"}
    links = {"on_complete": [{"job": "mail", "payload_template": template}], "on_failure": [{"job": "alarm"}]}
    report = await stored(town, "report", max_attempts=1, **links)
    good, bad, gone = [await trigger(town, report, payload={"who": "ada"}) for _ in range(3)]
    await end(town, good, completed(town, good, {"pages": 3}))
    ((mail, payload),) = await made_by(town, good)
    assert payload == {"of": good, "pages": 3, "for": "ada"}
    assert (mail.spec.triggered_by, mail.spec.created_by, mail.spec.handler) == ("event", "system:chain", "mail")
    await end(town, bad, failed())
    ((alarm, payload),) = await made_by(town, bad)
    assert (alarm.spec.handler, payload) == ("alarm", {"who": "ada"})
    await town.stop(gone)
    await errands(town)
    assert await made_by(town, gone) == []
    await town.check()


async def test_an_errand_that_is_done_again_starts_nothing_again(town: World):
    await stored(town, "mail")
    report = await stored(town, "report", on_complete=[{"job": "mail"}, {"job": "mail", "payload_template": {"a": 1}}])
    run_id = await trigger(town, report)
    await end(town, run_id)

    async def leave(tx: Transaction) -> None:
        await tx.apply(ChangeSet(inbox=[(run_id, errand("chain"))] * 2))

    await town.store.write(leave)
    await errands(town)
    payloads = [payload for _, payload in await made_by(town, run_id)]
    assert sorted(payloads, key=len) == [{}, {"a": 1}]


async def test_a_run_without_a_chain_leaves_no_errand(town: World):
    report = await stored(town, "report", on_failure=[{"job": "mail"}])
    run_id = await town.submit(report)
    (run,) = await town.take(1)
    await town.finish(run, o.Completed())
    assert (run.run_id, town.rows("SELECT entry FROM inbox")) == (run_id, [])


async def test_a_chain_that_goes_round_ends_at_its_bound_and_says_so(open_world):
    town: World = await open_world(chain_depth_max=3)
    town.database.change(PROJECTS, PROJECT.project_id, PROJECT.org_id, PROJECT.slug, PROJECT.name, 1.0, 0)
    job = await stored(town, "again", on_complete=[{"job": "again"}])
    told: list[tuple[str, str]] = []
    detach = telemetry.attach(lambda name, facts: told.append((name, facts["code"])), "chain.refused")
    await trigger(town, job)
    while runs := await town.take(1):
        await town.finish(runs[0], o.Completed())
        await errands(town)
    detach()
    assert town.rows("SELECT count(*) FROM runs") == [(4,)]
    assert told == [("chain.refused", "chains.too_long")]


async def test_a_link_that_leads_nowhere_is_told_and_holds_up_no_other(town: World):
    await stored(town, "mail")
    await stored(town, "closed", enabled=False)
    links = [{"job": "nothing"}, {"job": "closed"}, {"job": "mail"}]
    report = await stored(town, "report", on_complete=links)
    told: list[str] = []
    detach = telemetry.attach(lambda _, facts: told.append(facts["code"]), "chain.refused")
    run_id = await trigger(town, report)
    await end(town, run_id)
    detach()
    assert told == ["jobs.not_found", "jobs.disabled"]
    assert [run.spec.handler for run, _ in await made_by(town, run_id)] == ["mail"]


async def test_an_update_of_the_job_changes_nothing_for_runs_that_are_there(town: World):
    await stored(town, "mail")
    report = await stored(town, "report", on_complete=[{"job": "mail"}])
    run_id = await trigger(town, report)
    await town.engine.jobs.update(ADMIN, report, {"on_complete": ()})
    await end(town, run_id)
    assert len(await made_by(town, run_id)) == 1
