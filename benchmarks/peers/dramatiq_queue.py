"""dramatiq on Valkey: eight threads in one worker, acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.stage import Peer, Place, perform


class Dramatiq(Peer):
    """The broker of one round."""

    def __init__(self, place: Place) -> None:
        self._broker = RedisBroker(url=f"{place.url}/{place.round}")
        dramatiq.set_broker(self._broker)
        self._actor = dramatiq.actor(actor_name="noop")(place.noted())

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Send one by one."""
        for number in numbers:
            self._actor.send(number)

    def work(self) -> None:
        """Run a worker."""
        dramatiq.Worker(self._broker, worker_threads=8).start()
        threading.Event().wait()


if __name__ == "__main__":
    perform(Dramatiq)
