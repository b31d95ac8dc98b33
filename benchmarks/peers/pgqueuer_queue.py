"""pgqueuer: rows are deleted when done, taken a hundred at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.peers.stage import Peer, Place, perform


class Pgqueuer(Peer):
    """The queue of one round, in a database of its own."""

    def __init__(self, place: Place) -> None:
        self._url = f"{place.url}/{place.name}"
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._note = place.noted()
        self._queries: Queries | None = None

    def prepare(self) -> None:
        """Install the schema."""
        self._runner.run(self._prepare())

    async def _prepare(self) -> None:
        self._queries = Queries(AsyncpgDriver(await asyncpg.connect(self._url)))
        await self._queries.install()

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue one by one."""
        queries = self._queries
        assert queries is not None

        async def each() -> None:
            for number in numbers:
                await queries.enqueue("noop", b"%d" % number)

        self._runner.run(each())

    def batch(self, numbers: Sequence[int]) -> None:
        """Enqueue in batches of 500."""
        queries = self._queries
        assert queries is not None

        async def each() -> None:
            for start in range(0, len(numbers), 500):
                payloads: list[bytes | None] = [b"%d" % n for n in numbers[start : start + 500]]
                await queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))

        self._runner.run(each())

    def work(self) -> None:
        """Run a queue manager."""
        self._runner.run(self._work())

    async def _work(self) -> None:
        application = PgQueuer(AsyncpgDriver(await asyncpg.connect(self._url)))
        note = self._note

        @application.entrypoint("noop")
        async def noop(job: Job) -> None:
            note(int(job.payload or b"0"))

        await application.run(batch_size=100)


if __name__ == "__main__":
    perform(Pgqueuer)
