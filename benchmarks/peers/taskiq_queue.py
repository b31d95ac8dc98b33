"""taskiq on Valkey: a stream with acknowledgements, results kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import uvloop
from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.peers.stage import Peer, Place, perform


class Taskiq(Peer):
    """The broker of one round."""

    def __init__(self, place: Place) -> None:
        url = f"{place.url}/{place.round}"
        self._broker = RedisStreamBroker(url=url, consumer_id="0").with_result_backend(RedisAsyncResultBackend(url))
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        note = place.noted()

        @self._broker.task(task_name="noop")
        async def noop(number: int) -> None:
            note(number)

        self._task = noop

    def prepare(self) -> None:
        """Make the stream and its group of consumers."""
        self._runner.run(self._broker.startup())

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Kick one by one."""

        async def each() -> None:
            for number in numbers:
                await self._task.kiq(number)

        self._runner.run(each())

    def work(self) -> None:
        """Run a receiver."""
        self._runner.run(self._work())

    async def _work(self) -> None:
        self._broker.is_worker_process = True
        await run_receiver_task(self._broker, run_startup=True, max_async_tasks=100)


if __name__ == "__main__":
    perform(Taskiq)
