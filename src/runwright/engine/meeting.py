"""Where runs that wait for signals and the signals meet, within one transaction of the commit.

Whoever parks a run on a key, and whoever sends a signal of that key, first locks the key (`Transaction.meet`) and then
looks: so one of the two sees the other, and no signal passes a run that is about to wait for it. A signal to a
prefix is for those who wait at its moment and is kept for nobody, so it locks no key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

import msgspec

from runwright.domain import commands as c
from runwright.domain.outcome import Parked
from runwright.domain.run import Run, Spec
from runwright.domain.signal import Signal
from runwright.domain.tenancy import Cause
from runwright.engine.batch import Batch
from runwright.engine.requests import Request, Send, Sent
from runwright.errors import QuotaExceeded
from runwright.store.base import Transaction
from runwright.store.queries import signals as q

Key = tuple[str, str]
"""A project, and an event's key in it."""
HandOver = Callable[[Run, Signal], c.Delivery]
"""Seals the payload of a signal for the run that gets it."""

BEYOND = "\U0010ffff"


def is_parked(request: Request) -> TypeGuard[c.Finish]:
    """Tell whether a request parks its run on an event."""
    if not isinstance(request, c.Finish) or not isinstance(request.outcome, Parked):
        return False
    return request.outcome.wait.on == "event"


class Rules(msgspec.Struct, frozen=True):
    """How many runs one signal wakes, how many signals of one key are kept, and for how long (µs)."""

    wakes_max: int
    kept_max: int
    kept_us: int


class Meeting:
    """The waiting runs and the kept signals that the requests of a transaction are about, kept up to date by them."""

    def __init__(self, hand_over: HandOver, rules: Rules) -> None:
        self._hand_over = hand_over
        self._rules = rules
        self._waiting: dict[Key, dict[str, None]] = {}
        self._kept: dict[Key, list[Signal]] = {}
        self._count: dict[Key, int] = {}
        self._more: set[str] = set()

    @property
    def run_ids(self) -> list[str]:
        """Return the runs that may be woken."""
        return [run_id for waiting in self._waiting.values() for run_id in waiting]

    async def look(self, tx: Transaction, requests: Iterable[Request], specs: Sequence[Spec]) -> None:
        """Lock the keys that the requests are about, and see who waits for them and what is kept."""
        sends = [request.signal for request in requests if isinstance(request, Send)]
        projects = {spec.run_id: spec.project_id for spec in specs}
        parks: dict[Key, int] = {}
        for parking in filter(is_parked, requests):
            if parking.run_id in projects and isinstance(parking.outcome, Parked):
                key = (projects[parking.run_id], parking.outcome.wait.key)
                parks[key] = parks.get(key, 0) + 1
        exact = {(signal.project_id, signal.event_key) for signal in sends if not signal.by_prefix}
        await tx.meet(sorted(f"{project_id}/{event_key}" for project_id, event_key in exact | parks.keys()))
        since = tx.now - self._rules.kept_us
        for (project_id, event_key), count in parks.items():
            of_key = {"project_id": project_id, "event_key": event_key, "since": since}
            rows = await tx.fetch(q.KEPT, **of_key, limit=count)
            self._kept[project_id, event_key] = [q.signal(project_id, event_key, row) for row in rows]
        for project_id, event_key in exact:
            of_key = {"project_id": project_id, "event_key": event_key, "since": since}
            self._count[project_id, event_key] = len(await tx.fetch(q.KEPT_IDS, **of_key, limit=self._rules.kept_max))
        for signal in sends:
            await self._find(tx, signal)

    async def _find(self, tx: Transaction, signal: Signal) -> None:
        of_key = {"project_id": signal.project_id, "event_key": signal.event_key}
        most = self._rules.wakes_max + 1
        if signal.by_prefix:
            rows = await tx.fetch(q.WAITING_BY_PREFIX, **of_key, beyond=signal.event_key + BEYOND, limit=most)
        else:
            rows = await tx.fetch(q.WAITING, **of_key, limit=most)
        if len(rows) == most:
            self._more.add(signal.signal_id)
            rows = rows[:-1]
        for event_key, run_id in rows:
            self._waiting.setdefault((signal.project_id, event_key), {})[run_id] = None

    def parked(self, batch: Batch, run: Run) -> Run:
        """Give a run that just began to wait for an event the oldest signal that was kept for it, if there is one."""
        wait = run.wait
        if wait is None or wait.on != "event" or run.state != "waiting":
            return run
        key = (run.spec.project_id, wait.key)
        kept = self._kept.get(key)
        if not kept:
            self._waiting.setdefault(key, {})[run.run_id] = None
            return run
        signal = kept.pop(0)
        if signal in batch.changes.kept_signals:
            batch.changes.kept_signals.remove(signal)
        else:
            batch.changes.kept_signals_gone.append(signal.signal_id)
        return self._wake(batch, run, signal, Cause("system:signals"))

    def send(self, batch: Batch, request: Send) -> Sent:
        """Wake the runs that wait for a signal, make those that it starts, and keep it where nobody waited."""
        signal = request.signal
        key = (signal.project_id, signal.event_key)
        woken: list[str] = []
        for (project_id, event_key), waiting in self._waiting.items():
            if project_id != signal.project_id or not signal.meets(event_key):
                continue
            for run_id in list(waiting):
                run = batch.after.get(run_id)
                if run is None or run.wait is None or (run.wait.on, run.wait.key) != ("event", event_key):
                    continue
                self._wake(batch, run, signal, request.cause)
                del waiting[run_id]
                woken.append(run_id)
        kept = not woken and not signal.by_prefix
        if kept:
            count = self._count.get(key, 0) + 1
            if count > self._rules.kept_max:
                raise QuotaExceeded(
                    f"{self._rules.kept_max} events of this key are kept already, and nothing waits for them",
                    code="events.too_many_kept",
                )
            self._count[key] = count
            self._kept.setdefault(key, []).append(signal)
            batch.changes.kept_signals.append(signal)
        runs = tuple(batch.decide(submit) for submit in request.submits)
        return Sent(
            signal.signal_id, tuple(woken), tuple(run.run_id for run in runs), kept, signal.signal_id in self._more
        )

    def _wake(self, batch: Batch, run: Run, signal: Signal, cause: Cause) -> Run:
        assert run.wait is not None
        given = self._hand_over(run, signal)
        return batch.decide(c.Wake(run_id=run.run_id, on="event", key=run.wait.key, cause=cause, delivery=given))
