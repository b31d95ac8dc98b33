"""Celery on Valkey: one prefork process, acknowledged late, 64 fetched ahead, results kept."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

from benchmarks.peers.stage import Peer, Place, perform


class CeleryQueue(Peer):
    """The application of one round."""

    def __init__(self, place: Place) -> None:
        url = f"{place.url}/{place.round}"
        self._app = Celery("bench", broker=url, backend=url)
        self._app.conf.update(
            task_acks_late=True, worker_prefetch_multiplier=64, worker_hijack_root_logger=False,
            broker_connection_retry_on_startup=True,
        )  # fmt: skip
        note = place.noted()

        @self._app.task(name="noop")
        def noop(number: int) -> None:
            note(number)

        self._task = noop

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue one by one."""
        for number in numbers:
            self._task.delay(number)

    def work(self) -> None:
        """Run a worker."""
        self._app.worker_main(["worker", "--pool", "prefork", "-c", "1", "-l", "ERROR", "--without-gossip",
                               "--without-mingle", "--without-heartbeat"])  # fmt: skip


if __name__ == "__main__":
    perform(CeleryQueue)
