"""arq on Valkey: polled every 10 ms (its default of 0.5 s starts 1 000 a second), 100 jobs at once, results kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import uvloop
from arq import create_pool, func
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker

from benchmarks.peers.stage import Peer, Place, perform


class Arq(Peer):
    """The queue of one round."""

    def __init__(self, place: Place) -> None:
        self._settings = RedisSettings.from_dsn(f"{place.url}/{place.round}")
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._note = place.noted()
        self._pool: ArqRedis | None = None

    def prepare(self) -> None:
        """Connect."""
        self._pool = self._runner.run(create_pool(self._settings))

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue one by one."""
        pool = self._pool
        assert pool is not None

        async def each() -> None:
            for number in numbers:
                await pool.enqueue_job("noop", number)

        self._runner.run(each())

    def work(self) -> None:
        """Run a worker."""
        self._runner.run(self._work())

    async def _work(self) -> None:
        note = self._note

        async def noop(ctx: dict[str, Any], number: int) -> None:
            note(number)

        await Worker(
            functions=[func(noop, name="noop")], redis_settings=self._settings, poll_delay=0.01, max_jobs=100,
            handle_signals=False,
        ).async_run()  # fmt: skip


if __name__ == "__main__":
    perform(Arq)
