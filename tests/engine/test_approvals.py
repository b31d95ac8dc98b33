"""Approvals in a real store: one decision and one resume however many decide, who may, and what time and ends do."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from runwright.clock import FrozenClock
from runwright.domain.commands import IdempotencyKey
from runwright.domain.run import Run
from runwright.errors import (
    AlreadyDecided,
    ApprovalExpired,
    Error,
    IdempotencyMismatch,
    NotFound,
    SelfApproval,
    SubjectChanged,
)
from tests.engine.agents import agent_run
from tests.engine.deciding import asking, folded, gated, join, keep_key, voting
from tests.engine.test_cron_servers import Shared
from tests.engine.world import World
from tests.postgres import new_database


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Return two servers on one database, under one clock."""
    with new_database() as url:
        clock = FrozenClock()
        pair = [World(tmp_path / name, clock, (), Shared(url)) for name in ("first", "second")]
        for world in pair:
            await world.open()
        yield pair[0], pair[1]
        for world in pair:
            await world.crash()


async def one_of(many: list[World], run: Run, count: int) -> None:
    """Let so many people decide at once, half of them against, and check that one of them did."""
    votes = [voting(run, f"user_{n + 10}", "deny" if n % 2 else "approve") for n in range(count)]
    asked = [many[n % len(many)].engine.commit.apply(vote) for n, vote in enumerate(votes)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    winners = [n for n, answer in enumerate(answers) if isinstance(answer, Run)]
    assert len(winners) == 1
    assert {type(answer) for answer in answers if not isinstance(answer, Run)} == {AlreadyDecided}
    world = many[0]
    types = await world.types(run.run_id)
    decided = [name for name in types if name in ("approval.approved", "approval.denied", "approval.voted")]
    assert decided == ["approval.denied" if winners[0] % 2 else "approval.approved"]
    assert types.count("run.queued") == 1, "one resume"
    (made,) = await folded(world, run.run_id)
    assert [each.actor for each in made.decisions] == [f"user:user_{winners[0] + 10}"]
    (again,) = await world.take(10)
    assert (again.run_id, again.attempt, again.lease_epoch) == (run.run_id, 1, 2)
    await world.check()


async def test_of_1000_decisions_at_once_one_counts_and_the_run_goes_on_once(world: World):
    await one_of([world], await asking(world), 1000)


async def test_of_1000_decisions_at_two_servers_one_counts_and_the_run_goes_on_once(servers: tuple[World, World]):
    await one_of(list(servers), await asking(servers[0]), 1000)


async def test_two_of_many_approvals_at_once_make_a_quorum_of_two(world: World):
    run = await asking(world, quorum=2)
    votes = [voting(run, f"user_{n % 3 + 10}") for n in range(30)]
    answers = await asyncio.gather(*map(world.engine.commit.apply, votes), return_exceptions=True)
    assert sum(isinstance(answer, Run) for answer in answers) == 2
    (made,) = await folded(world, run.run_id)
    assert (made.status, len({each.actor for each in made.decisions})) == ("approved", 2)


async def test_what_is_asked_is_listed_redacted_with_the_subject_and_its_digest(world: World):
    run = await asking(world)
    (made,) = await folded(world, run.run_id)
    assert (made.status, made.requested_by, made.expires_at) == ("pending", "user:user_1", run.due_at)
    assert made.subject["kind"] == "diff"
    assert "hunter2" not in str(made.subject)


async def test_who_made_the_run_approves_it_until_a_second_person_may(world: World):
    alone, other = await asking(world), await asking(world)
    await world.engine.commit.apply(voting(alone, "user_1"))
    (made,) = await folded(world, alone.run_id)
    assert [each.self_approved for each in made.decisions] == [True]
    await join(world, "user_2", "viewer")
    await join(world, "user_4", "admin", "proj_2")
    with pytest.raises(SelfApproval):
        await both(world, other)
    assert (await world.run(other.run_id)).state == "waiting"


async def both(world: World, run: Run) -> None:
    """Let somebody join who may approve, and the run's maker approve after that."""
    await join(world, "user_3", "approver", "proj_1")
    await world.engine.commit.apply(voting(run, "user_1"))


async def test_viewers_and_people_of_other_projects_are_no_second_person(world: World):
    await join(world, "user_2", "operator")
    await join(world, "user_4", "admin", "proj_2")
    run = await asking(world)
    await world.engine.commit.apply(voting(run, "user_1"))
    assert (await world.run(run.run_id)).state == "queued"


async def test_who_is_left_out_is_no_second_person(world: World):
    await join(world, "user_2")
    run = await asking(world, exclude_actors=("user_2",))
    await world.engine.commit.apply(voting(run, "user_1"))
    assert (await world.run(run.run_id)).state == "queued"


async def test_no_decision_in_time_is_a_denial_whoever_was_down_meanwhile(open_world, world: World):
    run = await asking(world, ttl_s=60)
    await world.crash()
    later = await open_world()
    later.clock.advance(60)
    with pytest.raises(ApprovalExpired):
        await later.engine.commit.apply(voting(run, "user_2"))
    await later.past(0)
    (made,) = await folded(later, run.run_id)
    assert (made.status, (await later.run(run.run_id)).state) == ("expired", "queued")
    await later.check()


async def test_a_decision_is_there_after_a_crash_and_its_run_goes_on(open_world, world: World):
    run = await asking(world, quorum=2)
    await world.engine.commit.apply(voting(run, "user_2"))
    await world.crash()
    later = await open_world()
    with pytest.raises(AlreadyDecided):
        await later.engine.commit.apply(voting(run, "user_2"))
    await later.engine.commit.apply(voting(run, "user_3"))
    (made,) = await folded(later, run.run_id)
    assert (made.status, [each.actor for each in made.decisions]) == ("approved", ["user:user_2", "user:user_3"])


async def test_k3_a_cancel_during_an_approval_wait_supersedes_what_was_asked(world: World):
    run = await asking(world)
    assert (await world.stop(run.run_id)).state == "cancelled"
    (made,) = await folded(world, run.run_id)
    assert (made.status, made.decisions) == ("superseded", ())
    assert world.rows("SELECT name FROM timers WHERE run_id = ?", run.run_id) == []


async def test_k4_an_approval_after_the_cancel_changes_nothing(world: World):
    run = await asking(world)
    await world.stop(run.run_id)
    log = await world.types(run.run_id)
    with pytest.raises(AlreadyDecided):
        await world.engine.commit.apply(voting(run, "user_2"))
    assert await world.types(run.run_id) == log


async def test_a_cancel_and_1_approval_at_once_have_one_winner(world: World):
    for _ in range(10):
        run = await asking(world)
        asked = [world.engine.commit.apply(voting(run, "user_2")), world.stop(run.run_id)]
        await asyncio.gather(*asked, return_exceptions=True)
        (made,) = await folded(world, run.run_id)
        assert made.status in ("approved", "superseded")
    await world.check()


async def test_what_was_asked_and_taken_back_in_one_transaction_is_listed(world: World):
    run_id = await world.submit(world.job())
    (run,) = await world.take()
    asked = world.finish(run, gated(world.engine))
    await asyncio.gather(asked, world.stop(run_id), return_exceptions=True)
    (made,) = await folded(world, run_id)
    assert made.status == "superseded"


async def test_another_digest_is_refused_and_a_stranger_knows_nothing(world: World):
    run = await asking(world)
    for vote, refusal in (
        (voting(run, "user_2", subject_sha256="e" * 64), SubjectChanged),
        (voting(run, "user_2", checkpoint_id="apr_of_nobody"), AlreadyDecided),
    ):
        with pytest.raises(refusal):
            await world.engine.commit.apply(vote)
    with pytest.raises(NotFound):
        await world.engine.commit.apply(replace(voting(run, "user_2"), run_id="run_of_nobody"))


async def test_a_vote_that_its_key_names_again_is_the_same_one(world: World):
    run = await asking(world)
    key = IdempotencyKey("proj_1", "k", "f")
    vote = voting(run, "user_2", idempotency=key)
    first = await world.engine.commit.apply(vote)
    assert isinstance(first, Run)
    assert isinstance(await world.engine.commit.apply(vote), Run)
    with pytest.raises(IdempotencyMismatch):
        await world.engine.commit.apply(voting(run, "user_2", idempotency=IdempotencyKey("proj_1", "k", "g")))
    assert (await world.types(run.run_id)).count("approval.approved") == 1


async def test_refused_votes_write_nothing(world: World):
    run = await asking(world)
    await join(world, "user_2")
    before = await world.types(run.run_id)
    with pytest.raises(Error):
        await world.engine.commit.apply(voting(run, "user_1"))
    assert await world.types(run.run_id) == before


async def test_a_run_that_a_run_made_is_of_who_made_the_first(world: World):
    await join(world, "user_2")
    parent = await asking(world)
    command = agent_run(world, parent_run_id=parent.run_id, created_by=f"run:{parent.run_id}")
    await world.engine.commit.apply(command)
    (child,) = await world.take()
    child = await world.finish(child, gated(world.engine))
    with pytest.raises(SelfApproval):
        await world.engine.commit.apply(voting(child, "user_1"))
    await world.engine.commit.apply(voting(child, "user_2"))
    (made,) = await folded(world, child.run_id)
    assert made.status == "approved"


async def test_the_run_of_a_service_is_of_who_made_its_key(world: World):
    await join(world, "user_2")
    await keep_key(world, "user_5", key_id="key_1", user_id=None, created_by="user:user_1")
    await keep_key(world, "user_6", key_id="key_2", user_id=None, created_by="service:key_1")
    await world.engine.commit.apply(agent_run(world, created_by="service:key_2"))
    (run,) = await world.take()
    run = await world.finish(run, gated(world.engine))
    with pytest.raises(SelfApproval):
        await world.engine.commit.apply(voting(run, "user_1"))
    await world.engine.commit.apply(voting(run, "user_2"))
    (made,) = await folded(world, run.run_id)
    assert made.status == "approved"


@pytest.mark.parametrize(
    ("key", "counts"),
    [
        ({"scopes": ("approvals:decide",)}, True),
        ({"scopes": ("admin",)}, True),
        ({"scopes": ("runs:read", "runs:write")}, False),
        ({"scopes": ("admin",), "project_id": "proj_2"}, False),
        ({"scopes": ("admin",), "revoked_at": 1}, False),
        ({"scopes": ("admin",), "expires_at": 1}, False),
        ({"scopes": ("admin",), "user_id": None}, False),
    ],
)
async def test_users_who_were_never_members_count_by_their_keys(world: World, key: dict[str, object], counts: bool):
    run = await asking(world)
    await keep_key(world, "user_5", **key)
    vote = world.engine.commit.apply(voting(run, "user_1"))
    if counts:
        with pytest.raises(SelfApproval):
            await vote
    else:
        assert (await vote).state == "queued"


async def test_a_disabled_user_is_no_second_person(world: World):
    await join(world, "user_2")
    world.database.change("UPDATE users SET enabled = false WHERE user_id = 'user_2'")
    run = await asking(world)
    assert (await world.engine.commit.apply(voting(run, "user_1"))).state == "queued"
