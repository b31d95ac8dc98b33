"""procrastinate: jobs and events kept, ten at once in one worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import procrastinate
import uvloop

from benchmarks.peers.stage import Peer, Place, perform


class Procrastinate(Peer):
    """The application of one round; its schema is the same in all, the database is each round's own."""

    def __init__(self, place: Place) -> None:
        url = f"{place.url}/{place.name}"
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        note = place.noted()

        @self._app.task(name="noop")
        async def noop(number: int) -> None:
            note(number)

        self._task = noop

    def prepare(self) -> None:
        """Apply the schema."""
        self._runner.run(self._prepare())

    async def _prepare(self) -> None:
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Defer one by one."""

        async def each() -> None:
            for number in numbers:
                await self._task.defer_async(number=number)

        self._runner.run(each())

    def batch(self, numbers: Sequence[int]) -> None:
        """Defer in batches of 500."""

        async def each() -> None:
            for start in range(0, len(numbers), 500):
                await self._task.batch_defer_async(*({"number": n} for n in numbers[start : start + 500]))

        self._runner.run(each())

    def work(self) -> None:
        """Run a worker."""
        self._runner.run(self._work())

    async def _work(self) -> None:
        async with self._app.open_async():
            await self._app.run_worker_async(concurrency=10, install_signal_handlers=False, wait=True)


if __name__ == "__main__":
    perform(Procrastinate)
