"""Whoever subscribes is told of every end of a run, whatever led to it, at least once and under one id."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook

from runwright.domain import outcome as o
from runwright.domain.job import Job, JobDefinition
from runwright.domain.rollups import Moves
from runwright.domain.tenancy import Actor
from runwright.domain.webhooks import ENDS, Delivery, RunMessage, Subscription
from runwright.engine.deliveries import Wanted
from runwright.engine.subscriptions import Subscribed
from runwright.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded
from runwright.store.queries.shapes import Slice
from runwright.telemetry import attach
from tests.engine.world import ADMIN, PROJECT, SECOND, World, failed
from tests.executors.endpoint import Endpoint, Received, always, answer, serving
from tests.waiting import until

HOUR_S = 3600
PRIVATE: dict[str, Any] = {"allow_private_endpoints": True}
STRANGER = Actor(kind="user", id="user_9", org_id="org_9", scopes=frozenset({"admin"}))


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """Serve an address that takes every message, until a test lets it answer otherwise."""
    async with serving(always(answer(b""))) as made:
        yield made


@pytest.fixture
async def world(open_world: Callable[..., Awaitable[World]]) -> World:
    """Return a world that may send to this machine."""
    return await open_world(**PRIVATE)


async def subscribed(world: World, url: str, **fields: Any) -> Subscribed:
    """Subscribe to the project's runs; unless `event_types` are given, to their ends."""
    made = await world.engine.webhooks.subscriptions.create(ADMIN, PROJECT, {"url": url, **fields})
    return made.value


async def posted(world: World, seconds: float = 0) -> None:
    """Let time pass, settle the outbox, and send what is due until all of it was answered."""
    world.clock.advance(seconds)
    await world.round_of(world.engine.operations.outbox.loop)
    postman = world.engine.webhooks.postman
    assert postman is not None
    sent = -1
    while sent != (sent := world.rows("SELECT sum(attempt) FROM webhook_deliveries")[0][0]):
        await world.round_of(postman.loop)
        await postman.idle()


async def deliveries(world: World, **wanted: Any) -> list[Delivery]:
    """Return the log of deliveries, oldest first."""
    found = await world.engine.webhooks.deliveries.page(ADMIN, Wanted(**wanted), Slice(1000, None, False))
    return found.deliveries


async def only(world: World) -> Delivery:
    """Return the one delivery there is."""
    (delivery,) = await deliveries(world)
    return delivery


def message(received: Received) -> RunMessage:
    """Return what a message says, as its schema has it."""
    return msgspec.json.decode(received.body, type=RunMessage)


def signed_by(secret: str | None, received: Received) -> bool:
    """Tell whether a secret signed a message, as the library of Standard Webhooks signs it."""
    at = datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), UTC)
    signature = Webhook(secret or "").sign(received.headers["webhook-id"], at, received.body.decode())
    return signature in received.headers["webhook-signature"].split()


def told(endpoint: Endpoint) -> list[tuple[str, str, str]]:
    """Return (type, run, status) of every message, in the order of the runs' logs."""
    found = [message(received) for received in endpoint.received]
    return [(m.type, m.data.run_id, m.data.status) for m in sorted(found, key=lambda m: (m.data.run_id, m.data.seq))]


# --- every way to end -------------------------------------------------------------------------------------------------


async def completed(world: World) -> str:
    await world.submit(world.job())
    return (await world.finish((await world.take())[0], o.Completed())).run_id


async def failed_once(world: World) -> str:
    await world.submit(world.job(max_attempts=1))
    return (await world.finish((await world.take())[0], failed())).run_id


async def dead_lettered(world: World) -> str:
    await world.submit(world.job(max_attempts=2, retry_initial_delay_secs=1))
    await world.finish((await world.take())[0], failed())
    await world.past(2)
    return (await world.finish((await world.take())[0], failed())).run_id


async def timed_out(world: World) -> str:
    await world.submit(world.job(max_attempts=1))
    return (await world.finish((await world.take())[0], failed(reason="timeout"))).run_id


async def cancelled_in_the_queue(world: World) -> str:
    return (await world.stop(await world.submit(world.job()))).run_id


async def cancelled_and_confirmed(world: World) -> str:
    run_id = await world.submit(world.job())
    (run,) = await world.take()
    await world.stop(run_id)
    await world.finish(run, o.Released())
    return run_id


async def cancelled_and_fenced_off(world: World) -> str:
    run_id = await world.submit(world.job())
    await world.take()
    await world.stop(run_id)
    await world.reap(11)
    return run_id


async def cancelled_with_its_parent(world: World) -> str:
    parent = await world.submit(world.job("parent"))
    child = await world.submit(world.job("child"), parent_run_id=parent)
    await world.stop(parent)
    await world.round_of(world.engine.inbox.loop)
    return child


async def cancelled_while_paused(world: World) -> str:
    run_id = await world.submit(world.job())
    await world.stop(run_id, "pause")
    return (await world.stop(run_id)).run_id


async def expired(world: World) -> str:
    run_id = await world.submit(world.job(), ttl_secs=5)
    await world.past(6)
    return run_id


async def lost(world: World) -> str:
    run_id = await world.submit(world.job(max_attempts=1))
    await world.take()
    await world.reap(31)
    return run_id


WAYS: dict[Callable[[World], Awaitable[str]], tuple[str, str]] = {
    completed: ("run.completed", "completed"),
    failed_once: ("run.failed", "failed"),
    dead_lettered: ("run.failed", "dead_letter"),
    timed_out: ("run.failed", "timed_out"),
    cancelled_in_the_queue: ("run.cancelled", "canceled"),
    cancelled_and_confirmed: ("run.cancelled", "canceled"),
    cancelled_and_fenced_off: ("run.cancelled", "canceled"),
    cancelled_with_its_parent: ("run.cancelled", "canceled"),
    cancelled_while_paused: ("run.cancelled", "canceled"),
    expired: ("run.expired", "expired"),
    lost: ("run.failed", "crashed"),
}


async def test_appendix_c_11_every_way_to_end_is_told_once_and_by_the_word_that_the_run_shows(
    world: World, endpoint: Endpoint
):
    secret = (await subscribed(world, endpoint.url)).secret
    wanted = {await way(world): shown for way, shown in WAYS.items()}
    await posted(world)
    found = {run_id: (event_type, status) for event_type, run_id, status in told(endpoint)}
    ended = world.rows("SELECT run_id FROM runs WHERE finished_at IS NOT NULL")
    assert len(endpoint.received) == len(ended) == len(found), "one message for each run that ended, and no other"
    assert {run_id: found[run_id] for run_id in wanted} == wanted
    for received in endpoint.received:
        assert signed_by(secret, received)
        assert received.headers["webhook-id"] == message(received).data.event_id
    assert {d.outcome for d in await deliveries(world)} == {"delivered"}
    await world.check()


async def test_a_message_says_what_the_event_and_the_run_say(world: World, endpoint: Endpoint):
    await subscribed(world, endpoint.url)
    await world.submit(world.job(max_attempts=1), tags={"team": "sales"}, metadata={"a": "b"}, batch_id="batch_1")
    world.clock.advance(2)
    (run,) = await world.take()
    world.clock.advance(3)
    said = world.redactor.text("no hunter2-the-secret here")
    run = await world.finish(run, o.Failed(error_class="ValueError", message=said))
    await posted(world)
    sent = message(endpoint.received[0])
    event = (await world.events(run.run_id))[-1]
    assert (sent.data.seq, sent.data.event) == (event.seq, msgspec.json.decode(event.data or b""))
    assert (sent.data.tags, sent.data.metadata, sent.data.batch_id) == ({"team": "sales"}, {"a": "b"}, "batch_1")
    assert (sent.data.error, sent.data.error_class) == ("no [redacted:known] here", "ValueError")
    assert sent.timestamp == sent.data.finished_at
    assert b"hunter2" not in endpoint.received[0].body


async def test_appendix_c_11_a_subscription_may_name_the_steps_of_a_run(world: World, endpoint: Endpoint):
    steps = ("run.created", "run.paused", "run.resumed", "run.started", "run.cancel_requested", "run.cancelled")
    await subscribed(world, endpoint.url, event_types=steps)
    await posted(world)
    run_id = await world.submit(world.job())
    await world.stop(run_id, "pause")
    await world.resume(run_id)
    await world.take()
    await world.stop(run_id)
    await world.reap(11)
    await posted(world)
    assert told(endpoint) == [
        ("run.created", run_id, "queued"),
        ("run.paused", run_id, "paused"),
        ("run.resumed", run_id, "queued"),
        ("run.started", run_id, "executing"),
        ("run.cancel_requested", run_id, "executing"),
        ("run.cancelled", run_id, "canceled"),
    ]


async def test_a_step_that_comes_before_anybody_knows_who_wants_it_is_told(world: World, endpoint: Endpoint):
    await subscribed(world, endpoint.url, event_types=("*",))
    assert not world.engine.watched.known
    run_id = await world.submit(world.job())
    await posted(world)
    assert told(endpoint) == [("run.created", run_id, "queued")]


async def test_nothing_is_kept_for_nobody(world: World):
    await posted(world)
    await world.submit(world.job())
    await world.finish((await world.take())[0], o.Completed())
    rows = world.rows("SELECT data FROM outbox ORDER BY entry")
    records = [msgspec.json.decode(data, type=Moves) for (data,) in rows]
    assert [record.steps for record in records] == [[], [], []], "one record a transaction, without steps"
    await posted(world)
    assert await deliveries(world) == []


async def test_others_hear_nothing(world: World, endpoint: Endpoint):
    await subscribed(world, endpoint.url, event_types=("run.failed",))
    await subscribed(world, endpoint.url, enabled=False)
    await completed(world)
    await posted(world)
    assert endpoint.received == []


async def test_a_subscription_that_is_there_before_a_run_ends_is_never_missed(world: World, endpoint: Endpoint):
    await world.submit(world.job())
    (run,) = await world.take()
    await subscribed(world, endpoint.url)
    world.engine.watched.learn([], world.engine.watched.generation)  # as a server that has not heard of it
    await world.finish(run, o.Completed())
    await posted(world)
    assert told(endpoint) == [("run.completed", run.run_id, "completed")]


# --- the webhook of a job ---------------------------------------------------------------------------------------------


async def hooked(world: World, url: str, **fields: Any) -> tuple[Job, str]:
    """Make a job with a webhook of its own; return it with its secret."""
    definition = JobDefinition(name="hooked", slug="hooked", webhook_url=url, **fields)
    made = (await world.engine.jobs.create(ADMIN, PROJECT, definition)).value
    return made.job, made.secret or ""


async def test_a_job_with_a_webhook_is_told_of_the_ends_of_its_runs(world: World, endpoint: Endpoint):
    job, secret = await hooked(world, endpoint.url)
    await world.submit(job)
    await world.finish((await world.take())[0], o.Completed())
    await completed(world)  # of another job
    await posted(world)
    (received,) = endpoint.received
    assert signed_by(secret, received)
    assert message(received).data.job_id == job.job_id
    assert (await only(world)).source == job.job_id


async def test_a_run_is_told_to_the_address_of_the_version_that_it_pinned(world: World, endpoint: Endpoint):
    job, _ = await hooked(world, endpoint.url)
    await world.submit(job)
    await world.engine.jobs.update(ADMIN, job, {"webhook_url": None})
    await world.finish((await world.take())[0], o.Completed())
    await posted(world)
    assert len(endpoint.received) == 1


# --- what is answered -------------------------------------------------------------------------------------------------
async def test_a_message_that_does_not_arrive_is_sent_again_under_its_id_with_growing_rests(
    world: World, endpoint: Endpoint
):
    await subscribed(world, endpoint.url)
    await completed(world)
    endpoint.respond = always(answer(b"not now", "503 Service Unavailable"))
    rests = []
    await posted(world)
    for _ in range(4):
        delivery = await only(world)
        assert (delivery.outcome, delivery.response_status) == ("pending", 503)
        assert delivery.error == "the address answered 503: not now"
        rest_us = (delivery.next_attempt_at or 0) - world.clock.now()
        rests.append(rest_us / 1e6)
        await posted(world, rest_us / 1e6 - 0.001)
        assert (await only(world)).attempt == delivery.attempt, "not before its time"
        await posted(world, 0.001)
    assert all(5 * 2**n * 0.8 <= rest <= 5 * 2**n * 1.2 for n, rest in enumerate(rests)), rests
    endpoint.respond = always(answer(b""))
    await posted(world, 100)
    assert ((await only(world)).outcome, (await only(world)).attempt) == ("delivered", 6)
    assert len({received.headers["webhook-id"] for received in endpoint.received}) == 1
    assert len({received.body for received in endpoint.received}) == 1


async def test_what_asks_to_wait_is_waited_for_as_far_as_the_longest_rest(world: World, endpoint: Endpoint):
    await subscribed(world, endpoint.url)
    await completed(world)
    endpoint.respond = always(answer(b"", "429 Too Many Requests", retry_after="600"))
    await posted(world)
    assert (await only(world)).next_attempt_at == world.clock.now() + 600 * SECOND
    endpoint.respond = always(answer(b"", "429 Too Many Requests", retry_after="999999"))
    await posted(world, 600)
    assert (await only(world)).next_attempt_at == world.clock.now() + 4 * HOUR_S * SECOND


@pytest.mark.parametrize("status", ["301 Moved", "400 Bad Request", "404 Not Found", "410 Gone"])
async def test_an_answer_that_will_not_change_is_final(world: World, endpoint: Endpoint, status: str):
    await subscribed(world, endpoint.url)
    await completed(world)
    endpoint.respond = always(answer(b"password=hunter2-the-secret", status, location="/elsewhere"))
    await posted(world)
    delivery = await only(world)
    assert (delivery.outcome, delivery.attempt, delivery.next_attempt_at) == ("failed", 1, None)
    assert "hunter2" not in (delivery.error or "")
    await posted(world, HOUR_S)
    assert len(endpoint.received) == 1


async def test_who_cannot_be_reached_is_tried_as_often_as_configured(open_world, endpoint: Endpoint):
    world = await open_world(webhook_attempts=3, **PRIVATE)
    await subscribed(world, "http://127.0.0.1:1")
    await completed(world)
    for _ in range(5):
        await posted(world, HOUR_S)
    delivery = await only(world)
    assert (delivery.outcome, delivery.attempt, delivery.response_status) == ("failed", 3, None)


async def test_who_does_not_answer_in_time_is_given_up_for_this_time(open_world, endpoint: Endpoint):
    world = await open_world(webhook_timeout_s=0.05, **PRIVATE)
    await subscribed(world, endpoint.url)
    await completed(world)
    endpoint.respond = _never
    await posted(world)
    delivery = await only(world)
    assert (delivery.outcome, delivery.response_status) == ("pending", None)
    assert "no answer within 0.05 s" in (delivery.error or "")


async def _never(received: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_one_address_that_stands_still_keeps_no_other_waiting(open_world, endpoint: Endpoint):
    world = await open_world(webhook_slots=3, webhook_slots_per_source=2, **PRIVATE)
    async with serving(_never) as dead:
        await subscribed(world, dead.url)
        for _ in range(5):
            await completed(world)
        await world.round_of(world.engine.operations.outbox.loop)
        postman = world.engine.webhooks.postman
        await world.round_of(postman.loop)
        await until(lambda: len(dead.received) == 2)
        await subscribed(world, endpoint.url, event_types=("run.failed",))
        await failed_once(world)
        await world.round_of(world.engine.operations.outbox.loop)
        for _ in range(3):
            await world.round_of(postman.loop)
        await until(lambda: len(endpoint.received) == 1)
        assert len(dead.received) == 2, "its share, and no more"


# --- where it may be sent to ------------------------------------------------------------------------------------------

INSIDE = (
    "http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
    "http://10.0.0.1/", "http://localhost/", "http://169.254.169.254/latest/", "http://[64:ff9b::7f00:1]/",
    "ftp://example.com/", "http://user@example.com/",
)  # fmt: skip


async def test_appendix_c_25_addresses_inside_are_refused_where_they_are_named(open_world):
    world = await open_world()
    for url in INSIDE:
        with pytest.raises(InvalidRequest) as refused:
            await subscribed(world, url)
        assert [field.path for field in refused.value.fields] == ["url"]
        with pytest.raises(InvalidRequest) as refused:
            await hooked(world, url)
        assert [field.path for field in refused.value.fields] == ["webhook_url"]


async def test_appendix_c_25_an_address_inside_is_refused_when_it_is_dialled_and_not_tried_again(
    open_world, endpoint: Endpoint
):
    world = await open_world()
    made = (await subscribed(world, "https://example.com/")).subscription
    world.database.change(
        "UPDATE webhook_subscriptions SET url = ? WHERE subscription_id = ?", endpoint.url, made.subscription_id
    )
    await completed(world)
    await posted(world)
    delivery = await only(world)
    assert (delivery.outcome, endpoint.connections) == ("failed", 0)


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_while_a_secret_is_replaced_both_sign(world: World, endpoint: Endpoint):
    made = await subscribed(world, endpoint.url)
    subscriptions = world.engine.webhooks.subscriptions
    ident = made.subscription.subscription_id
    rotated = (await subscriptions.rotate(ADMIN, ident, grace_s=60)).value
    await completed(world)
    await posted(world)
    (received,) = endpoint.received
    for secret in (made.secret, rotated.secret):
        assert signed_by(secret, received)
    await completed(world)
    await posted(world, 61)
    assert len(endpoint.received[1].headers["webhook-signature"].split()) == 1
    assert world.database.content().find((made.secret or "").encode()) == -1


async def test_a_request_that_is_repeated_finds_the_subscription_and_no_secret(world: World):
    subscriptions = world.engine.webhooks.subscriptions
    made = await subscriptions.create(ADMIN, PROJECT, {"url": "http://127.0.0.1/"}, "once")
    again = await subscriptions.create(ADMIN, PROJECT, {"url": "http://127.0.0.1/"}, "once")
    assert (again.repeated, again.value.secret) == (True, None)
    assert again.value.subscription == made.value.subscription
    rotated = [await subscriptions.rotate(ADMIN, made.value.subscription.subscription_id, 0, "two") for _ in range(2)]
    assert [each.value.secret is None for each in rotated] == [False, True]


# --- one that fails, and the verbs ------------------------------------------------------------------------------------
async def test_a_subscription_that_only_fails_for_days_is_switched_off_and_that_is_told(
    world: World, endpoint: Endpoint
):
    ident = (await subscribed(world, endpoint.url)).subscription.subscription_id
    endpoint.respond = always(answer(b"", "500 Broken"))
    await completed(world)
    await posted(world)
    await posted(world, 2 * 24 * HOUR_S)
    assert (await world.engine.webhooks.subscriptions.get(ADMIN, ident)).enabled
    await posted(world, 24 * HOUR_S)
    off = await world.engine.webhooks.subscriptions.get(ADMIN, ident)
    assert (off.enabled, off.disabled_reason) == (False, "its deliveries have failed for too long")
    actions = world.rows("SELECT action, actor FROM audit ORDER BY number")
    assert actions[-1] == ("webhook.disabled", "system:webhooks")
    await completed(world)
    await posted(world, 24 * HOUR_S)
    assert (await only(world)).error == "the subscription is disabled", "and nobody is told of what comes now"
    on = await world.engine.webhooks.subscriptions.update(ADMIN, ident, {"enabled": True})
    assert (on.failing_since, on.disabled_at, on.disabled_reason) == (None, None, None)


async def test_one_success_in_between_begins_the_days_anew(world: World, endpoint: Endpoint):
    made: Subscription = (await subscribed(world, endpoint.url)).subscription
    broken, fine = always(answer(b"", "500 Broken")), always(answer(b""))
    for respond in (broken, fine, broken):
        endpoint.respond = respond
        await completed(world)
        await posted(world, 2 * 24 * HOUR_S)
    assert (await world.engine.webhooks.subscriptions.get(ADMIN, made.subscription_id)).enabled


async def test_a_message_can_be_sent_again_under_its_id(world: World, endpoint: Endpoint):
    await subscribed(world, endpoint.url)
    await completed(world)
    await world.round_of(world.engine.operations.outbox.loop)
    ident = (await only(world)).delivery_id
    with pytest.raises(Conflict):
        await world.engine.webhooks.deliveries.redeliver(ADMIN, ident)
    await posted(world)
    await world.engine.webhooks.deliveries.redeliver(ADMIN, ident)
    await posted(world)
    assert ((await only(world)).outcome, (await only(world)).attempt) == ("delivered", 2)
    first, second = endpoint.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


async def test_a_ping_arrives_also_where_the_subscription_is_switched_off(world: World, endpoint: Endpoint):
    made = (await subscribed(world, endpoint.url, enabled=False)).subscription
    delivery = await world.engine.webhooks.deliveries.ping(made)
    await posted(world)
    said = msgspec.json.decode(endpoint.received[0].body)
    assert (said["type"], said["data"]["subscription_id"]) == ("webhook.ping", made.subscription_id)
    assert endpoint.received[0].headers["webhook-id"] == delivery.delivery_id


async def test_what_is_deleted_is_told_nothing_more_and_its_log_stays(world: World, endpoint: Endpoint):
    made = (await subscribed(world, endpoint.url)).subscription
    await completed(world)
    await world.round_of(world.engine.operations.outbox.loop)
    await world.engine.webhooks.subscriptions.delete(ADMIN, made.subscription_id)
    await completed(world)
    await posted(world)
    assert (endpoint.received, (await only(world)).error) == ([], "the subscription was deleted")
    assert world.rows("SELECT 1 FROM job_secrets") == []


async def test_the_log_is_filtered_paged_and_nobody_elses(open_world, endpoint: Endpoint):
    world = await open_world(scan_budget=4, page_max=4, page_default=4, **PRIVATE)
    await subscribed(world, endpoint.url, event_types=("run.completed", "run.failed"))
    run_ids = []
    for way in [completed] * 5 + [failed_once]:
        run_ids.append(await way(world))
        await posted(world, 1)
    log = world.engine.webhooks.deliveries
    assert [d.run_id for d in await deliveries(world, run_id=run_ids[2])] == [run_ids[2]]
    part = await log.page(ADMIN, Wanted(event_type="run.failed"), Slice(10, None, False))
    assert (part.deliveries, part.scanned_to is not None) == ([], True), "the budget ended it"
    rest = await log.page(ADMIN, Wanted(event_type="run.failed"), Slice(10, part.scanned_to, False))
    assert [d.run_id for d in rest.deliveries] == run_ids[5:]
    assert (await log.page(STRANGER, Wanted(run_id=run_ids[0]), Slice(10))).deliveries == []
    with pytest.raises(NotFound):
        await log.get(STRANGER, rest.deliveries[0].delivery_id)


async def test_finished_deliveries_are_forgotten_in_time_and_pending_ones_are_not(world: World, endpoint: Endpoint):
    await subscribed(world, endpoint.url)
    await completed(world)
    await posted(world)
    await completed(world)
    await world.round_of(world.engine.operations.outbox.loop)
    world.clock.advance(31 * 24 * HOUR_S)
    await world.round_of(world.engine.pruner.loop)
    assert [d.outcome for d in await deliveries(world)] == ["pending"]


async def test_a_project_has_only_so_many_subscriptions(open_world):
    world = await open_world(webhook_subscriptions_max=1, **PRIVATE)
    assert (await subscribed(world, "http://127.0.0.1/")).subscription.event_types == ENDS
    with pytest.raises(QuotaExceeded):
        await subscribed(world, "http://127.0.0.1/")
    with pytest.raises(InvalidRequest):
        await subscribed(world, "http://127.0.0.1/", event_types=("run.began",))


async def test_the_lag_is_the_age_of_the_oldest_message_that_has_not_arrived(world: World, endpoint: Endpoint):
    results: list[str] = []
    detach = attach(lambda name, fields: results.append(fields["result"]), "webhook.sent")
    await subscribed(world, endpoint.url)
    await completed(world)
    endpoint.respond = always(answer(b"", "503 Service Unavailable"))
    await posted(world)
    world.clock.advance(7)
    assert await world.engine.webhooks.deliveries.lag_s() == 7
    endpoint.respond = always(answer(b""))
    await posted(world)
    assert await world.engine.webhooks.deliveries.lag_s() == 0
    detach()
    assert results == ["again", "delivered"]


# --- crashes ----------------------------------------------------------------------------------------------------------
async def test_a_server_that_dies_while_it_sends_leaves_the_message_to_the_next(open_world, endpoint: Endpoint):
    world = await open_world(**PRIVATE)
    await subscribed(world, endpoint.url)
    run_id = await completed(world)
    endpoint.respond = _never
    await world.round_of(world.engine.operations.outbox.loop)
    await world.round_of(world.engine.webhooks.postman.loop)
    await until(lambda: endpoint.received)
    await world.crash()
    endpoint.respond = always(answer(b""))
    later = await open_world(**PRIVATE)
    await posted(later)
    assert len(endpoint.received) == 1, "somebody may still be sending it"
    await posted(later, 21)
    assert told(endpoint) == [("run.completed", run_id, "completed")] * 2
    assert ((await only(later)).outcome, (await only(later)).attempt) == ("delivered", 2)


async def test_what_an_attempt_that_was_overtaken_says_is_not_written(world: World, endpoint: Endpoint):
    await subscribed(world, endpoint.url)
    await completed(world)
    answers = [asyncio.Event(), asyncio.Event()]
    texts = [answer(b"", "404 Not Found"), answer(b"")]

    async def late(received: Received, writer: asyncio.StreamWriter) -> None:
        number = len(endpoint.received) - 1
        await answers[number].wait()
        writer.write(texts[number])

    endpoint.respond = late
    await world.round_of(world.engine.operations.outbox.loop)
    postman = world.engine.webhooks.postman
    assert postman is not None
    for number in (1, 2):
        await world.round_of(postman.loop)
        await until(lambda number=number: len(endpoint.received) == number)  # type: ignore[misc]
        world.clock.advance(21)
    answers[0].set()
    await until(lambda: len(postman._sending) == 1)
    assert (await only(world)).outcome == "pending", "the second attempt is still at it"
    answers[1].set()
    await postman.idle()
    assert ((await only(world)).outcome, (await only(world)).attempt) == ("delivered", 2)
