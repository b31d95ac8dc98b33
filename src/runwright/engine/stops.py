"""Requests to stop that workers elsewhere are still to be told, by whichever server they ask next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from runwright.domain.hints import Asked
from runwright.domain.run import StopKind
from runwright.engine.requests import Committed

ELSEWHERE = "wrk_"
"""How the ids of workers begin that speak REST."""


class Stopping(NamedTuple):
    """A run that somebody asked to stop, to be told to the worker that executes it."""

    run_id: str
    lease_epoch: int
    kind: StopKind


class Stops:
    """What is to be told, by worker, and what this process has told: no worker hears the same of it twice."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Stopping]] = {}
        self._told: dict[str, Stopping] = {}

    def add(self, asked: Asked) -> bool:
        """Keep a request that the worker of a run is to hear; return False where there is nothing new to tell."""
        stopping = Stopping(asked.run_id, asked.lease_epoch, asked.kind)
        if not asked.worker_id.startswith(ELSEWHERE) or self._told.get(asked.run_id) == stopping:
            return False
        former = self._open.setdefault(asked.worker_id, {}).get(asked.run_id)
        self._open[asked.worker_id][asked.run_id] = stopping
        return former != stopping

    def take(self, worker_id: str) -> list[Stopping]:
        """Return what a worker is to be told, now that it is."""
        telling = list(self._open.pop(worker_id, {}).values())
        self._told.update({stopping.run_id: stopping for stopping in telling})
        return telling

    def settle(self, done: Committed) -> None:
        """Forget the requests of runs that are no longer executing."""
        if self._open or self._told:
            self.forget(run_id for run_id, run in done.runs.items() if run.state != "executing")

    def keep(self, run_ids: set[str], known: set[str]) -> None:
        """Forget, of the runs `known`, all but these: the others have stopped, by what the store says."""
        self.forget(known - run_ids)

    @property
    def run_ids(self) -> set[str]:
        """Return the runs that something is known of."""
        return self._told.keys() | {run_id for stops in self._open.values() for run_id in stops}

    def forget(self, run_ids: Iterable[str]) -> None:
        """Forget runs."""
        for run_id in run_ids:
            self._told.pop(run_id, None)
            for worker_id in [worker_id for worker_id, stops in self._open.items() if run_id in stops]:
                del self._open[worker_id][run_id]
                if not self._open[worker_id]:
                    del self._open[worker_id]
