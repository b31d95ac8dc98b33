"""A ticket opens one path, for a while, for whoever it stands for."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runwright import config
from runwright.auth import tickets as module
from runwright.auth.tickets import Tickets
from runwright.clock import FrozenClock
from runwright.domain.tenancy import Actor
from runwright.errors import RateLimited, Unauthenticated
from runwright.store.sqlite.store import SqliteStore

Made = Callable[..., Tickets]

ADA = Actor(kind="user", id="user_1", org_id="org_1", key_id="key_1")
EVE = Actor(kind="user", id="user_2", org_id="org_1")
PATH = "/v1/runs/run_1/events"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def made(clock: FrozenClock, tmp_path: Path) -> AsyncIterator[Callable[..., Tickets]]:
    """Return what makes a server's tickets; all of them share a store."""
    store = SqliteStore(tmp_path, clock)
    await store.open()
    yield lambda **settings: Tickets(store, config.load({}, overrides=settings), clock)
    await store.close()


async def opens(tickets: Tickets, token: str, path: str = PATH) -> bool:
    try:
        await tickets.leave(await tickets.enter(token, path))
    except Unauthenticated:
        return False
    return True


async def test_a_ticket_that_nobody_uses_ends_after_a_minute(clock: FrozenClock, made: Made) -> None:
    tickets = made()
    early, late = [(await tickets.issue(ADA, PATH))[0] for _ in range(2)]
    assert early.startswith(module.PREFIX)
    clock.advance(59.9)
    assert await opens(tickets, early)
    clock.advance(0.1)
    assert not await opens(tickets, late)


async def test_a_ticket_is_good_while_it_is_used_and_a_minute_after_the_cut(clock: FrozenClock, made: Made) -> None:
    tickets = made()
    token, expires_at = await tickets.issue(ADA, PATH)
    assert expires_at == clock.now() + 60_000_000
    use = await tickets.enter(token, PATH)
    assert use.actor == ADA
    for _ in range(100):  # each time that a stream looks at its caller again
        clock.advance(59)
        await tickets.keep(use)
    again = await tickets.enter(token, PATH)  # a reader that comes back before its cut was seen
    await tickets.leave(use)
    for _ in range(100):
        clock.advance(59)
        await tickets.keep(again)
    await tickets.leave(again)
    clock.advance(59.9)
    assert await opens(tickets, token)
    clock.advance(60)
    assert not await opens(tickets, token)


@pytest.mark.parametrize("path", ["/v1/runs", PATH + "/", PATH.upper(), "", "/v1/runs/run_1"])
async def test_a_ticket_opens_no_other_path(made: Made, path: str) -> None:
    tickets = made()
    token, _ = await tickets.issue(ADA, PATH)
    assert not await opens(tickets, token, path)
    assert await opens(tickets, token)


async def test_a_ticket_that_was_never_made_opens_nothing(made: Made) -> None:
    tickets = made()
    token, _ = await tickets.issue(ADA, PATH)
    for odd in ("", module.PREFIX, token[:-1], token + "A", token.swapcase(), "\ud800"):
        assert not await opens(tickets, odd)


async def test_tickets_are_bounded_for_each_and_for_all_until_they_end(clock: FrozenClock, made: Made) -> None:
    tickets = made(tickets_max=3, tickets_per_key=2)
    for _ in range(2):
        await tickets.issue(ADA, PATH)
    with pytest.raises(RateLimited) as refused:
        await tickets.issue(ADA, PATH)
    assert refused.value.code == "limits.tickets"
    await tickets.issue(EVE, PATH)
    with pytest.raises(RateLimited):
        await tickets.issue(EVE, PATH)
    clock.advance(60)
    for _ in range(2):
        await tickets.issue(EVE, PATH)


async def test_a_ticket_is_taken_and_counted_by_every_server(made: Made) -> None:
    one, other = made(tickets_per_key=2), made(tickets_per_key=2)
    token, _ = await one.issue(ADA, PATH)
    assert await opens(other, token)
    await other.issue(ADA, PATH)
    for tickets in (one, other):
        with pytest.raises(RateLimited):
            await tickets.issue(ADA, PATH)
