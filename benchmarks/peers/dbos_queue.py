"""DBOS on SQLite or PostgreSQL: sync workflows, a queue polled every 20 ms (at its default, 1 s: 100 jobs/s)."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from dbos import DBOS, DBOSClient, EnqueueOptions

from benchmarks.peers.stage import Peer, Place, perform

QUEUE = "noops"


class Dbos(Peer):
    """The application of one round."""

    def __init__(self, place: Place) -> None:
        file = place.directory / f"{place.name}.db"
        self._url = f"{place.url}/{place.name}" if place.url else f"sqlite:///{file}"
        self._note = place.noted()
        self._client: DBOSClient | None = None

    def prepare(self) -> None:
        """Launch once, which migrates, and register the queue."""
        self._launch()
        DBOS.destroy()
        self._client = DBOSClient(system_database_url=self._url)

    def _launch(self) -> None:
        DBOS(
            config={"name": "bench", "system_database_url": self._url, "log_level": "ERROR", "application_version": "1"}
        )
        note = self._note

        @DBOS.workflow(name="noop")
        def noop(number: int) -> None:
            note(number)

        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=100, polling_interval_sec=0.02)

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue through a client."""
        assert self._client is not None
        options: EnqueueOptions = {"queue_name": QUEUE, "workflow_name": "noop", "app_version": "1"}
        for number in numbers:
            self._client.enqueue(options, number)

    def work(self) -> None:
        """Launch and go on."""
        self._launch()
        threading.Event().wait()


if __name__ == "__main__":
    perform(Dbos)
