"""Errands are done at least once, and one that cannot be done holds up no other."""

from pathlib import Path

from runwright import telemetry
from runwright.domain.errands import ERRANDS, errand
from runwright.engine.inbox import Inbox
from runwright.errors import Conflict
from runwright.store.base import ChangeSet, Transaction
from tests.api.served import serving
from tests.engine.world import World


async def leave(world: World, *errands: tuple[str, bytes]) -> None:
    async def work(tx: Transaction) -> None:
        await tx.apply(ChangeSet(inbox=list(errands)))

    await world.store.write(work)


async def test_every_kind_of_errand_has_one_who_does_it(world: World, tmp_path: Path):
    above = {"deliver"}
    assert set(world.engine.inbox._handlers) == set(ERRANDS) - above
    async with serving(tmp_path) as server:
        assert set(server.house.services.engine.inbox._handlers) == set(ERRANDS)


async def test_an_errand_of_a_kind_that_is_not_known_yet_is_left_to_a_newer_server(world: World):
    await leave(world, ("run_1", b"of_tomorrow {}"), ("run_2", errand("cancel_children")))
    await world.round_of(world.engine.inbox.loop)
    assert world.rows("SELECT run_id FROM inbox") == [("run_1",)]


async def test_an_errand_that_is_refused_is_told_stays_and_holds_up_no_other(world: World):
    done: list[str] = []

    async def handler(run_id: str, body: bytes) -> None:
        if run_id == "run_1" and len(done) < 2:
            done.append("refused")
            raise Conflict("not now")
        done.append(run_id)

    inbox = Inbox(world.store, world.clock, {"cancel_children": handler})
    await leave(world, ("run_1", errand("cancel_children")), ("run_2", errand("cancel_children")))
    told: list[str] = []
    detach = telemetry.attach(lambda name, _: told.append(name), "inbox.refused")
    await world.round_of(inbox.loop)
    detach()
    assert (done, told) == (["refused", "run_2"], ["inbox.refused"])
    assert world.rows("SELECT run_id FROM inbox") == [("run_1",)]
    await world.round_of(inbox.loop)
    assert world.rows("SELECT run_id FROM inbox") == []


async def test_an_errand_over_which_we_stumble_is_told_stays_and_holds_up_no_other(world: World):
    done: list[str] = []

    async def handler(run_id: str, body: bytes) -> None:
        if run_id == "run_1":
            raise KeyError(run_id)
        done.append(run_id)

    inbox = Inbox(world.store, world.clock, {"cancel_children": handler})
    await leave(world, ("run_1", errand("cancel_children")), ("run_2", errand("cancel_children")))
    told: list[str] = []
    detach = telemetry.attach(lambda name, _: told.append(name), "inbox.broken")
    await world.round_of(inbox.loop)
    detach()
    assert (done, told) == (["run_2"], ["inbox.broken"])
    assert world.rows("SELECT run_id FROM inbox") == [("run_1",)]


async def test_errands_that_cannot_be_done_hide_none_that_come_after_them_however_many_they_are(world: World):
    done: list[str] = []

    async def handler(run_id: str, body: bytes) -> None:
        if run_id.startswith("refused"):
            raise Conflict("never")
        done.append(run_id)

    inbox = Inbox(world.store, world.clock, {"cancel_children": handler}, batch=3)
    left = [f"refused_{number}" for number in range(7)] + ["run_1", "refused_7", "run_2", "run_3"]
    await leave(world, *((run_id, errand("cancel_children")) for run_id in left))
    await world.round_of(inbox.loop)
    assert done == ["run_1", "run_2", "run_3"]
    assert len(world.rows("SELECT run_id FROM inbox WHERE run_id LIKE 'refused%'")) == 8
    assert world.rows("SELECT run_id FROM inbox WHERE run_id LIKE 'run%'") == []
