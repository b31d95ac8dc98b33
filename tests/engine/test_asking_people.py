"""An executor that asks people through its attempt; who is told of it, and what retention and erasure leave of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.clock import FrozenClock
from runwright.domain import checkpoints
from runwright.domain import outcome as o
from runwright.domain.approval import ApprovalRequest, digest_of
from runwright.domain.lane import Lane
from runwright.domain.webhooks import RunMessage
from runwright.engine.attempt import Attempt
from runwright.engine.why import Why
from runwright.errors import InvalidRequest, InvalidTransition
from tests.engine.agents import agent_run
from tests.engine.databases import Database
from tests.engine.deciding import asking, folded, gated, voting
from tests.engine.talking import Talk
from tests.engine.test_webhooks import posted, subscribed
from tests.engine.world import ADMIN, World, failed
from tests.executors.endpoint import Endpoint, always, answer, serving
from tests.waiting import until

DAY_S = 86_400


class Asking:
    """An executor that asks before it does something, and goes on as its log says; its subject may change meanwhile."""

    name = "worker"

    def __init__(self) -> None:
        self.subject: dict[str, Any] = {"kind": "command", "argv": ["git", "push"]}
        self.did: list[dict[str, Any]] = []
        self.world: World

    def serves(self, lane: Lane) -> bool:
        """Serve every run."""
        return True

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Do it if people have allowed this very thing; ask them; or end, denied."""
        digest = digest_of(self.subject)
        asked = list(checkpoints.fold(await self.world.events(attempt.run.run_id)).values())
        if any(each.allows(digest) for each in asked):
            self.did.append(self.subject)
            return attempt.completed({"did": self.subject})
        if asked and asked[-1].status in ("denied", "expired"):
            return attempt.failed("Denied", asked[-1].status, retryable=False, reason="denied")
        return attempt.request_approval(
            ApprovalRequest(
                gate_id="push", summary="Push hunter2-the-secret?", subject_sha256=digest, subject=self.subject
            )
        )


@pytest.fixture
async def asker(tmp_path: Path, database: Database) -> AsyncIterator[Asking]:
    """Start a server that executes every run so."""
    asker = Asking()
    world = World(tmp_path / "data", FrozenClock(), (), database)
    world.beside.append((asker, 4))
    asker.world = await world.open()
    world.engine.start()
    yield asker
    await world.close()


async def waiting(asker: Asking) -> Any:
    """Return a run that has asked."""
    run_id = await asker.world.submit(asker.world.job())
    await until(lambda: asker.world.rows("SELECT 1 FROM approvals WHERE run_id = ? AND status = 'pending'", run_id))
    return await asker.world.run(run_id)


def ended(asker: Asking, run_id: str) -> bool:
    """Tell whether a run has ended."""
    return not asker.world.rows("SELECT 1 FROM run_heads WHERE run_id = ?", run_id)


async def test_an_executor_asks_holds_nothing_meanwhile_and_does_what_was_approved(asker: Asking):
    run = await waiting(asker)
    (worker,) = asker.world.engine.workers
    await until(lambda: worker.busy == 0)
    why: Why = await asker.world.engine.explainer.why(run, asker.world.clock.now())
    assert why.message == "it waits for people to approve push: 0 of 1 have"
    await asker.world.engine.commit.apply(voting(run, "user_2", subject_sha256=digest_of(asker.subject)))
    await until(lambda: ended(asker, run.run_id))
    assert asker.did == [asker.subject]
    (made,) = await folded(asker.world, run.run_id)
    assert (made.summary, made.subject["argv"]) == ("Push [redacted:known]?", ["git", "push"])
    await asker.world.check()


async def test_an_executor_that_was_denied_does_nothing(asker: Asking):
    run = await waiting(asker)
    await asker.world.engine.commit.apply(voting(run, "user_2", "deny", subject_sha256=digest_of(asker.subject)))
    await until(lambda: ended(asker, run.run_id))
    assert asker.did == []
    assert (await asker.world.run(run.run_id)).reason == "denied"


async def test_an_approval_does_not_hold_for_a_subject_that_changed_after_it(asker: Asking):
    run = await waiting(asker)
    seen = digest_of(asker.subject)
    asker.subject = {"kind": "command", "argv": ["git", "push", "--force"]}
    await asker.world.engine.commit.apply(voting(run, "user_2", subject_sha256=seen))
    await until(lambda: len(asker.world.rows("SELECT 1 FROM approvals WHERE run_id = ?", run.run_id)) == 2)
    first, second = await folded(asker.world, run.run_id)
    assert (asker.did, first.status, second.status) == ([], "approved", "pending")
    assert second.subject_sha256 == digest_of(asker.subject) != seen


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """Serve an address that takes every message."""
    async with serving(always(answer(b""))) as made:
        yield made


async def test_who_subscribes_to_approvals_is_told_of_them_and_of_nothing_else(
    open_world: Callable[..., Awaitable[World]], endpoint: Endpoint
):
    world = await open_world(allow_private_endpoints=True)
    await subscribed(world, endpoint.url, event_types=["approval.requested", "approval.denied"])
    run = await asking(world)
    await world.engine.commit.apply(voting(run, "user_2", "deny"))
    await posted(world)
    found = [msgspec.json.decode(each.body, type=RunMessage) for each in endpoint.received]
    told = sorted(found, key=lambda each: each.data.seq)  # they are sent side by side
    assert [each.type for each in told] == ["approval.requested", "approval.denied"]
    assert (told[0].data.run_id, told[0].data.event["checkpoint_id"]) == (run.run_id, run.wait and run.wait.key)
    assert told[0].data.status == "waiting"
    with pytest.raises(InvalidRequest):
        await subscribed(world, endpoint.url, event_types=["approval.maybe"])


async def test_an_answer_to_an_agent_run_that_waits_for_an_approval_is_sent_elsewhere(world: World):
    talk = Talk(world)
    await world.engine.commit.apply(agent_run(world))
    (run,) = await world.take()
    run = await world.finish(run, gated(world.engine))
    assert await world.data_of(run.run_id, "run.waiting_for_input", "kind") == ["approval"]
    with pytest.raises(InvalidTransition) as refused:
        await talk.agents.inputs.say(
            world.reader(),
            ADMIN,
            run.run_id,
            "yes",
            mode="answer",
            request_id=None,
            idempotency_key=None,
            asked_by=None,
        )
    assert refused.value.code == "runs.approval_required"
    assert f"/api/v1/runs/{run.run_id}/approvals" in refused.value.detail
    await world.engine.commit.apply(voting(run, "user_2"))
    assert (await world.run(run.run_id)).state == "queued"
    await world.check()


async def test_retention_and_erasure_take_what_was_asked_and_leave_the_rest(
    open_world: Callable[..., Awaitable[World]],
):
    world = await open_world(retention_days=7)
    world.database.change("INSERT INTO organizations VALUES ('org_1', 'o', 'O', 0) ON CONFLICT DO NOTHING")
    erased, old, live = await asking(world), await asking(world), await asking(world, ttl_s=90 * DAY_S)
    for run in (erased, old):
        await world.stop(run.run_id)
    await world.engine.operations.eraser.erase(world.reader(), ADMIN, erased.run_id)
    assert {run_id for (run_id,) in world.rows("SELECT run_id FROM approvals")} == {old.run_id, live.run_id}
    world.clock.advance(8 * DAY_S)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT run_id, status FROM approvals") == [(live.run_id, "pending")]
    await world.check()


async def test_a_failed_attempt_may_ask_again(world: World):
    run = await asking(world)
    await world.engine.commit.apply(voting(run, "user_2"))
    (again,) = await world.take()
    await world.finish(again, failed())
    await world.past(3600)
    (third,) = await world.take()
    parked = await world.finish(third, gated(world.engine))
    first, second = await folded(world, run.run_id)
    assert (first.status, second.status, parked.state) == ("approved", "pending", "waiting")
