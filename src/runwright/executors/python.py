"""Run Python handlers in this process: `client` knows how a handler is called, this room what stands behind it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runwright.client.errors import LeaseLost
from runwright.client.execution import run_handler
from runwright.client.handlers import Handler
from runwright.client.worker import Worker
from runwright.domain import outcome as o
from runwright.domain.lane import Lane
from runwright.engine.attempt import Attempt, AttemptLost
from runwright.engine.captures import came_back, handed_over
from runwright.engine.values import encode
from runwright.executors.local_session import LocalSession, outcome_of


class PythonExecutor:
    """Executes the handlers of one or several `Worker`s; sync ones run in at most `threads` threads."""

    name = "worker"

    def __init__(self, workers: Iterable[Worker], *, queues: Iterable[str] = (), threads: int = 100) -> None:
        self.handlers: dict[str, Handler[..., Any]] = {}
        for worker in workers:
            self.handlers.update(worker.handlers)
        self._queues = frozenset(queues)
        self._threads = ThreadPoolExecutor(threads, "runwright-handler")

    def serves(self, lane: Lane) -> bool:
        """Tell whether it has this lane's handler, and takes from its queue: from every one, unless some are named."""
        named = not self._queues or lane.queue in self._queues
        return named and lane.executor == self.name and lane.handler in self.handlers

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Call the attempt's handler and return how it ended."""
        name = attempt.run.spec.handler or ""
        handler = self.handlers[name]  # its lane has the handler's name
        session = LocalSession(attempt, await attempt.provision())
        if attempt.debug:
            attempt.capture("debug.request", handed_over(attempt.run), encode(session.payload))
        try:
            ended = await run_handler(handler, session, threads=self._threads)
        except LeaseLost as lost:
            raise AttemptLost from lost
        if attempt.debug:
            attempt.capture("debug.response", *came_back(ended))
        return outcome_of(attempt, ended)

    def close(self) -> None:
        """Take no more handlers; threads that are busy end with their handler."""
        self._threads.shutdown(wait=False, cancel_futures=True)
