"""The end of a run starts others, each once, whatever crashes; a chain that goes round has an end."""

from __future__ import annotations

from typing import Any

from runwright import telemetry
from runwright.domain import outcome as o
from runwright.domain.errands import errand
from runwright.domain.run import Run
from runwright.engine.values import encode
from runwright.store.base import ChangeSet, Transaction
from tests.engine.test_dependencies import end, errands, stored, trigger
from tests.engine.world import ADMIN, PROJECT, World, failed


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


async def test_the_end_of_a_run_starts_what_its_job_names(world: World):
    await stored(world, "mail")
    await stored(world, "alarm")
    template = {"of": "{{run.id}}", "pages": "{{result.pages}}", "for": "{{payload.who}}"}
    links = {"on_complete": [{"job": "mail", "payload_template": template}], "on_failure": [{"job": "alarm"}]}
    report = await stored(world, "report", max_attempts=1, **links)
    good, bad, gone = [await trigger(world, report, payload={"who": "ada"}) for _ in range(3)]
    await end(world, good, completed(world, good, {"pages": 3}))
    ((mail, payload),) = await made_by(world, good)
    assert payload == {"of": good, "pages": 3, "for": "ada"}
    assert (mail.spec.triggered_by, mail.spec.created_by, mail.spec.handler) == ("event", "system:chain", "mail")
    await end(world, bad, failed())
    ((alarm, payload),) = await made_by(world, bad)
    assert (alarm.spec.handler, payload) == ("alarm", {"who": "ada"})
    await world.stop(gone)
    await errands(world)
    assert await made_by(world, gone) == []
    await world.check()


async def test_an_errand_that_is_done_again_starts_nothing_again(world: World):
    await stored(world, "mail")
    report = await stored(world, "report", on_complete=[{"job": "mail"}, {"job": "mail", "payload_template": {"a": 1}}])
    run_id = await trigger(world, report)
    await end(world, run_id)

    async def leave(tx: Transaction) -> None:
        await tx.apply(ChangeSet(inbox=[(run_id, errand("chain"))] * 2))

    await world.store.write(leave)
    await errands(world)
    payloads = [payload for _, payload in await made_by(world, run_id)]
    assert sorted(payloads, key=len) == [{}, {"a": 1}]


async def test_a_run_without_a_chain_leaves_no_errand(world: World):
    report = await stored(world, "report", on_failure=[{"job": "mail"}])
    run_id = await world.submit(report)
    (run,) = await world.take(1)
    await world.finish(run, o.Completed())
    assert (run.run_id, world.rows("SELECT entry FROM inbox")) == (run_id, [])


async def test_a_chain_that_goes_round_ends_at_its_bound_and_says_so(open_world):
    world: World = await open_world(chain_depth_max=3)
    job = await stored(world, "again", on_complete=[{"job": "again"}])
    told: list[tuple[str, str]] = []
    detach = telemetry.attach(lambda name, facts: told.append((name, facts["code"])), "chain.refused")
    await trigger(world, job)
    while runs := await world.take(1):
        await world.finish(runs[0], o.Completed())
        await errands(world)
    detach()
    assert world.rows("SELECT count(*) FROM runs") == [(4,)]
    assert told == [("chain.refused", "chains.too_long")]


async def test_a_link_that_leads_nowhere_is_told_and_holds_up_no_other(world: World):
    await stored(world, "mail")
    await stored(world, "closed", enabled=False)
    links = [{"job": "nothing"}, {"job": "closed"}, {"job": "mail"}]
    report = await stored(world, "report", on_complete=links)
    told: list[str] = []
    detach = telemetry.attach(lambda _, facts: told.append(facts["code"]), "chain.refused")
    run_id = await trigger(world, report)
    await end(world, run_id)
    detach()
    assert told == ["jobs.not_found", "jobs.disabled"]
    assert [run.spec.handler for run, _ in await made_by(world, run_id)] == ["mail"]


async def test_an_update_of_the_job_changes_nothing_for_runs_that_are_there(world: World):
    await stored(world, "mail")
    report = await stored(world, "report", on_complete=[{"job": "mail"}])
    run_id = await trigger(world, report)
    await world.engine.jobs.update(ADMIN, report, {"on_complete": ()})
    await end(world, run_id)
    assert len(await made_by(world, run_id)) == 1
