"""`Bus` on PostgreSQL: LISTEN and NOTIFY on one connection of its own, never inside a transaction that writes.

A NOTIFY takes a lock of the whole database until its transaction ends, so hints are gathered: the first goes at once,
then they go together, at most every `interval_s`. Each says who sent it, as which number, and when: a process passes
over its own, measures the lag, and knows by a number that is missing that it missed something. Every `HELLO_S` there
is one in any case, and what a process does not hear of itself it would not hear of others, either: then the connection
is made anew. While nobody else was heard, nothing but that is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable
from typing import NamedTuple

import asyncpg
import msgspec

from runwright.clock import Clock
from runwright.domain.hints import Hint, packed
from runwright.errors import StoreError, StoreUnavailable
from runwright.store.postgres.connection import LOST, Connection, Hosts, Patience
from runwright.telemetry import observe, report

CHANNEL = "runwright"
HELLO_S = 1.0
ECHO_S = 5.0
"""How long a process waits to hear itself before it makes its connection anew."""
GONE_S = 10.0
"""How long after its last word another process counts as gone."""
BACKOFF_S = (0.1, 5.0)
CLOSE_S = 2.0
RUN_BYTES = 40
NOTIFY = "SELECT pg_notify($1, p) FROM unnest($2::text[]) AS n(p)"

# Hints need not be durable: nobody waits for a disk, or for a standby, on their account.
SETTINGS = {"application_name": "runwright bus", "synchronous_commit": "off"}

_decode = msgspec.json.Decoder(Hint).decode


class _Peer(NamedTuple):
    number: int
    heard_s: float


class PostgresBus:
    """One process on the bus. `url` must lead to a session of PostgreSQL, not to a pooler of transactions."""

    def __init__(
        self, url: str, clock: Clock, *, interval_s: float = 0.01, payload_max_bytes: int = 7900, payloads_max: int = 4
    ) -> None:
        self._hosts = Hosts(url, Patience(), **SETTINGS)
        self._clock = clock
        self._interval_s = interval_s
        self._payloads_max = payloads_max
        self._node = secrets.token_hex(8)
        self._payload_max_bytes = payload_max_bytes - len(self._head(2**63, 2**63))
        self._runs_max = payloads_max * payload_max_bytes // RUN_BYTES
        self._hear: Callable[[Hint], None] = _nobody
        self._task: asyncio.Task[None] | None = None
        self._pending = Hint()
        self._wanted = asyncio.Event()
        self._connected = False
        self._failed = False
        self._number = 0
        self._echoed_s = 0.0
        self._peers: dict[str, _Peer] = {}

    @property
    def connected(self) -> bool:
        """Tell whether hints come and go at the moment."""
        return self._connected

    @property
    def peers(self) -> int:
        """Return from how many other processes something was heard lately."""
        return len(self._peers)

    def open(self, hear: Callable[[Hint], None]) -> None:
        """Begin, and go on until closed: `hear` hears what others send, and after an interruption: look."""
        self._hear = hear
        self._task = asyncio.create_task(self._run(), name="bus")

    def send(self, hint: Hint) -> None:
        """Give others a hint soon; while there are none, or no connection, they will look by themselves."""
        if self._connected and self._peers:
            self._pending.merge(hint, self._runs_max)
            self._wanted.set()

    async def close(self) -> None:
        """Send what waits and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        pause_s = BACKOFF_S[0]
        while True:
            try:
                await self._live()
                told = "the connection that hears other servers was closed"
            except (StoreError, asyncpg.PostgresError, *LOST) as broken:
                told = getattr(broken, "detail", None) or str(broken) or type(broken).__name__
            pause_s = BACKOFF_S[0] if self._connected else min(pause_s * 2, BACKOFF_S[1])
            self._connected = False
            report("bus.lost", detail=told, retry_s=pause_s)
            await self._clock.sleep(pause_s * random.uniform(0.5, 1.0))

    async def _live(self) -> None:
        connection = await self._hosts.connect()
        try:
            self._failed = False
            connection.add_termination_listener(self._ended)
            await connection.add_listener(CHANNEL, self._heard)
            await self._talk(connection)
        except asyncio.CancelledError:
            with contextlib.suppress(asyncpg.PostgresError, *LOST):
                await self._say(connection, self._taken())
                await connection.close(timeout=CLOSE_S)
            raise
        finally:
            connection.terminate()

    async def _talk(self, connection: Connection) -> None:
        """Send what is asked for, and a sign of life, until the connection is lost."""
        now = self._echoed_s = self._clock.monotonic()
        # What was sent meanwhile is lost in both directions: both sides look.
        self._pending = Hint(look=True)
        await self._say(connection, self._taken())
        self._connected = True
        report("bus.connected", node=self._node)
        self._tell(Hint(look=True))
        while not self._failed:
            await self._clock.sleep(self._interval_s)
            await self._clock.wait(self._wanted, max(now + HELLO_S - self._clock.monotonic(), 0.0))
            now = self._clock.monotonic()
            self._peers = {node: peer for node, peer in self._peers.items() if now - peer.heard_s < GONE_S}
            if now - self._echoed_s > ECHO_S:
                raise StoreUnavailable(
                    "the connection that hears other servers hears nothing; behind a pooler of transactions, name one"
                    " that keeps its session (RUNWRIGHT_DATABASE_LISTEN_URL)"
                )
            if not self._failed:
                await self._say(connection, self._taken())

    def _taken(self) -> Hint:
        self._wanted.clear()
        taken, self._pending = self._pending, Hint()
        return taken

    async def _say(self, connection: Connection, hint: Hint) -> None:
        payloads = []
        for part in packed(hint, self._payload_max_bytes, self._payloads_max):
            self._number += 1
            payloads.append(self._head(self._number, self._clock.now()) + part.decode())
        await connection.execute(NOTIFY, CHANNEL, payloads, timeout=ECHO_S)
        observe("bus.sent", hints=len(payloads))

    def _head(self, number: int, now: int) -> str:
        return f"{self._node} {number} {now} "

    def _ended(self, connection: object) -> None:
        self._failed = True
        self._wanted.set()

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        node, number, sent_at, body = str(payload).split(" ", 3)
        if node == self._node:
            self._echoed_s = self._clock.monotonic()
            return
        peer = self._peers.get(node)
        self._peers[node] = _Peer(int(number), self._clock.monotonic())
        observe("bus.heard", seconds=max(self._clock.now() - int(sent_at), 0) / 1e6)
        if peer is None:  # what this process did before it knew of the other one, it told nobody
            self.send(Hint(look=True))
        try:
            hint = _decode(body)
        except msgspec.DecodeError:  # of a newer version
            hint = Hint(look=True)
        if peer is not None and int(number) != peer.number + 1:
            observe("bus.missed", hints=max(int(number) - peer.number - 1, 1))
            hint.look = True
        if hint:
            self._tell(hint)

    def _tell(self, hint: Hint) -> None:
        try:
            self._hear(hint)
        except Exception as bug:  # noqa: BLE001 - a hearer's fault must not end the connection
            report("bus.hearer_broken", error=repr(bug))


def _nobody(hint: Hint) -> None:
    """Hear nothing."""
