"""huey on SQLite: WAL, every commit synced, one worker thread."""

from __future__ import annotations

from collections.abc import Sequence

from huey import SqliteHuey
from huey.consumer import Consumer

from benchmarks.peers.stage import Peer, Place, perform


class Huey(Peer):
    """The queue of one round."""

    def __init__(self, place: Place) -> None:
        self._huey = SqliteHuey(filename=str(place.directory / f"{place.name}.db"), fsync=True)
        self._task = self._huey.task(name="noop")(place.noted())

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue, each in a transaction of its own."""
        for number in numbers:
            self._task(number)

    def work(self) -> None:
        """Run the consumer."""
        Consumer(self._huey, workers=1, worker_type="thread", initial_delay=0.001, backoff=1.05, max_delay=0.01).run()


if __name__ == "__main__":
    perform(Huey)
