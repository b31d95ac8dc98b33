"""When runs may enter their queue, and for how long an equal payload finds the run it made."""

import pytest

from runwright.domain.schedule import Cron, inside
from runwright.errors import IdempotencyMismatch, InvalidRequest
from tests.engine.world import ADMIN, PROJECT, SECOND, World, failed

HOUR = 3600 * SECOND


def minutes(world: World, expression: str, at: int) -> float:
    """Return in how many minutes an instant lies inside of an expression."""
    return (inside(Cron(expression), at) - at) / (60 * SECOND)


async def opening(world: World) -> tuple[str, int]:
    """Return an expression for the hour after the next, and the seconds until it begins."""
    now = world.clock.now()
    hour = (now // HOUR + 2) % 24
    return f"* {hour} * * *", (now // HOUR + 2) * HOUR - now


async def test_an_instant_is_inside_when_its_minute_matches(world: World):
    noon = 1_800_014_400 * SECOND
    assert (noon // HOUR) % 24 == 12
    assert inside(Cron("* 12 * * *"), noon + 17) == noon + 17
    assert inside(Cron("0 12 * * *"), noon + 59 * SECOND) == noon + 59 * SECOND
    assert inside(Cron("0 12 * * *"), noon + 60 * SECOND) == noon + 24 * HOUR
    assert inside(Cron("* 14 * * *"), noon + 5) == noon + 2 * HOUR
    assert inside(Cron("* 14 * * *", "Europe/Berlin"), noon + 5) == noon + HOUR


async def test_a_run_enters_its_queue_inside_of_the_window_only(world: World):
    expression, left_us = await opening(world)
    asked = world.job(execution_window_cron=expression, run_ttl_secs=60, max_attempts=3, retry_initial_delay_secs=3590)
    run_id = await world.submit(asked)
    run = await world.run(run_id)
    begins_at = world.clock.now() + left_us
    assert (run.state, run.reason, run.due_at, run.expires_at) == (
        "scheduled",
        "delay",
        begins_at,
        begins_at + 60 * SECOND,
    )
    await world.past(left_us / SECOND - 1)
    assert await world.state(run_id) == "scheduled"
    await world.past(1)
    assert await world.state(run_id) == "queued"
    assert await world.state(await world.submit(asked)) == "queued", "inside there is nothing to wait for"
    world.clock.advance(30)
    [first, _] = await world.take(2)
    await world.finish(first, failed())
    retried = await world.run(first.run_id)
    assert retried.due_at == begins_at + 24 * HOUR, "the retry would come due after the window"
    await world.check()


async def test_a_run_that_comes_due_too_late_is_put_off_to_the_next_window(world: World):
    expression, left_us = await opening(world)
    run_id = await world.submit(world.job(execution_window_cron=expression, run_ttl_secs=600))
    before = await world.run(run_id)
    await world.past(left_us / SECOND + 3600)
    run = await world.run(run_id)
    assert before.due_at is not None
    assert before.expires_at is not None
    assert (run.state, run.due_at) == ("scheduled", before.due_at + 24 * HOUR)
    assert run.expires_at == before.expires_at + 24 * HOUR
    assert (await world.types(run_id))[-1] == "run.rescheduled"
    await world.check()


async def test_an_equal_payload_finds_its_run_for_so_long(world: World):
    asked = world.job(dedup_window_secs=60)
    first = await world.submitted(asked, payload={"a": 1, "b": [2]})
    for order in ({"payload": {"b": [2], "a": 1}}, {"payload": {"a": 1, "b": [2]}, "idempotency_key": "k"}):
        again = await world.submitted(asked, **order)
        assert (again.run_id, again.hit) == (first.run_id, True)
    assert not (await world.submitted(asked, payload={"a": 1, "b": [3]})).hit
    assert not (await world.submitted(asked, payload={"a": True, "b": [2]})).hit
    assert not (await world.submitted(asked, payload={"a": 1, "b": [2]}, triggered_by="spawn")).hit
    assert not (await world.submitted(world.job("other", dedup_window_secs=60), payload={"a": 1, "b": [2]})).hit
    world.clock.advance(60)
    later = await world.submitted(asked, payload={"a": 1, "b": [2]})
    assert not later.hit
    with pytest.raises(IdempotencyMismatch):
        await world.submitted(asked, payload={"new": 1}, idempotency_key="k")
    await world.check()


async def test_equal_payloads_in_one_transaction_make_one_run(world: World):
    asked = world.job(dedup_window_secs=60)
    orders = [world.order(asked, payload={"n": n % 3}) for n in range(30)]
    answers = await world.engine.commit.apply_all(orders)
    assert len({answer.run_id for answer in answers}) == 3
    assert sum(not answer.hit for answer in answers) == 3


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"execution_window_cron": "every day"}, "execution_window_cron"),
        ({"execution_window_cron": "0 0 31 2 *"}, "execution_window_cron"),
        ({"timezone": "Europe/Berlin"}, "timezone"),
        ({"execution_window_cron": "* * * * *", "timezone": "Mars"}, "timezone"),
        ({"dedup_window_secs": 5, "batch": {"window_secs": 1, "max_size": 2}}, "dedup_window_secs"),
        ({"debounce": {"window_secs": 5, "max_wait_secs": 1}}, "debounce.max_wait_secs"),
        ({"debounce": {"window_secs": 5, "max_wait_secs": 9}, "batch": {"window_secs": 1, "max_size": 2}}, "batch"),
    ],
)
async def test_windows_that_cannot_be_are_refused(world: World, fields: dict[str, object], path: str):
    with pytest.raises(InvalidRequest) as refused:
        await world.engine.jobs.create(ADMIN, PROJECT, world.job("wrong", **fields).definition)  # type: ignore[arg-type]
    assert [field.path for field in refused.value.fields] == [path]
