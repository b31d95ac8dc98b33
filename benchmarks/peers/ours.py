"""Runwright on the peers' stage: over HTTP, filled while no worker runs, drained by the worker in the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import uvloop

from benchmarks.database import MASTER_KEY
from benchmarks.peers.stage import Peer, Place, perform
from benchmarks.server import Server
from benchmarks.wire import Connection, ask_all, request, trigger

BULK = 500


class Runwright(Peer):
    """The server of one round. Where a peer starts a worker, we start the server again, now with one."""

    def __init__(self, place: Place) -> None:
        directory = place.directory / place.name
        directory.mkdir(exist_ok=True)
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        settings: dict[str, Any] = (
            {"database_url": f"{place.url}/{place.name}", "master_key": MASTER_KEY} if place.url else {}
        )
        self._server = Server(directory, stamps=place.stamps, **settings)
        self._kept = directory / "port"
        self._line: Connection | None = None

    def prepare(self) -> None:
        """Register the jobs by a first start with the worker, then serve without it."""
        self._server.start().stop()
        self._server.start(worker=False)
        self._kept.write_text(str(self._server.port))

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Trigger one by one on one connection."""
        self._ask([trigger("stamp", {"n": number}) for number in numbers])

    def batch(self, numbers: Sequence[int]) -> None:
        """Trigger 500 a request."""
        path = "/v1/jobs/stamp/trigger/bulk?project_id=default"
        items = [
            [{"payload": {"n": n}} for n in numbers[start : start + BULK]] for start in range(0, len(numbers), BULK)
        ]
        self._ask([request("POST", path, {"items": each}) for each in items])

    def _ask(self, asked: list[bytes]) -> None:
        if self._line is None:
            self._line = self._runner.run(Connection.to(self._server))
        self._runner.run(ask_all([self._line], asked))

    def filled(self) -> None:
        """Make way for the server with the worker."""
        self._line = None
        self._server.stop()

    def work(self) -> None:
        """Be that server."""
        self._server.port = int(self._kept.read_text())
        self._server.become()


if __name__ == "__main__":
    perform(Runwright)
