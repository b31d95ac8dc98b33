"""Two servers and three workers on one PostgreSQL: killed, or left without it, they lose nothing and tell no lie.

`make soak` makes long campaigns of them: each for `SOAK_S`, and new random cases.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

import pytest

from runwright.clock import SystemClock
from tests.cluster.clients import Clients
from tests.cluster.database import Primary
from tests.cluster.town import PATIENCE_S, SOAK_S, Town, loaded

pytestmark = [
    pytest.mark.xdist_group("cluster-outages"),
    pytest.mark.slow,
    pytest.mark.timeout(600 + 4 * SOAK_S),
]

SEED = random.randrange(1 << 30) if SOAK_S else 5
LOAD = 12 if SOAK_S else 4
STEPS = 4
"""Of a short campaign, between two of which some runs end."""
EVERY_S = 10.0
RECOVERY_S = 10.0


async def steps(clients: Clients, every_s: float = 0.0):
    """Say when it is time for the next blow: after some more runs have ended, and in a soak not too soon."""
    ends_at = time.monotonic() + SOAK_S
    number = 0
    while time.monotonic() < ends_at or (not SOAK_S and number < STEPS):
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            await clients.more(6)
        if SOAK_S:
            await SystemClock().sleep(max(began + every_s - time.monotonic(), 0))
        yield number
        number += 1
    async with asyncio.timeout(PATIENCE_S):
        await clients.more(6)


def told(clients: Clients) -> str:
    """Return the figures of a campaign."""
    history = clients.history
    resumed = sum(each.after > 0 for each in history.deliveries)
    leases = max(deed.lease_epoch for deed in history.deeds)
    return (
        f"{len(history.accounts) // len(history.sources)} runs, {len(history.submissions)} requests of which"
        f" {sum(each.answer == 'unknown' for each in history.submissions)} had no answer or 503,"
        f" {len(history.deliveries)} connections of streams of which {resumed} went on after a cut,"
        f" {len(history.deeds)} lines of the books, up to {leases} leases of a run"
    )


async def test_nothing_is_lost_or_repeated_while_any_process_is_killed_again_and_again(
    pair: Town,
):
    chance = random.Random(SEED)
    clients = await pair.clients(SEED)
    async with loaded(clients, LOAD):
        killed = [await pair.kill(chance) async for _ in steps(clients, 2.0)]
    assert await pair.judged(clients) == "", f"seed {SEED}"
    sys.stdout.write(f"killed {len(killed)} processes: {told(clients)}\n")
    made_on = {each.run_id: each.server for each in clients.history.submissions}
    assert any(each.events and each.server != made_on[each.run_id] for each in clients.history.deliveries)
    assert any(each.after > 0 for each in clients.history.deliveries)


async def test_servers_say_503_while_postgresql_is_away_and_go_on_by_themselves(pair: Town, database: Primary):
    clients = await pair.clients(SEED)
    took: list[float] = []
    async with loaded(clients, LOAD):
        async for number in steps(clients, EVERY_S):
            if number % 2 and not SOAK_S:
                continue
            await database.stop()
            before = dict(clients.refusals)
            async with asyncio.timeout(PATIENCE_S):
                # The clients may all be following streams, which stay open and say nothing.
                while quiet := [server for server in before if clients.refusals[server] == before[server]]:
                    await asyncio.gather(*map(clients.knock, quiet))
            await database.start()
            took.append(await recovered(pair, clients))
    assert await pair.judged(clients) == "", f"seed {SEED}"
    seconds = ", ".join(f"{each:.1f}" for each in took)
    sys.stdout.write(f"restarted PostgreSQL {len(took)} times, all went on after {seconds} s: {told(clients)}\n")


async def recovered(pair: Town, clients: Clients) -> float:
    """Return after how long every server takes runs again, and they are executed and followed to their ends."""
    began = time.monotonic()
    async with asyncio.timeout(RECOVERY_S if SOAK_S else PATIENCE_S):
        await asyncio.gather(*(clients.once(server) for server in pair.servers))
    return time.monotonic() - began
