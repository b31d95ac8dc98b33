"""The attempts elsewhere that this process has had to do with, so that a call of one asks the store for nothing.

Another process may have written to their runs since. So what is known is looked up again before it is used when it is
older than `believed_s`, and when somebody hears that the run was moved; and whoever writes names the place that it
rests on (`Append.after`).
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterable
from weakref import WeakValueDictionary

from runwright.clock import Clock
from runwright.domain.run import Run, StopKind
from runwright.engine.attempt import Attempt
from runwright.engine.requests import Committed


class KnownAttempts:
    """At most `most` attempts by run; those that were opened longest ago go first."""

    def __init__(self, clock: Clock, most: int, believed_s: float) -> None:
        self._clock = clock
        self._most = most
        self._believed_s = believed_s
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()
        self._checked_s: dict[str, float] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.renewed_s: dict[str, float] = {}
        """When this process last renewed a run's lease."""

    def committed(self, done: Committed) -> None:
        """Hear how runs stand now."""
        for run_id in self._attempts.keys() & done.runs.keys():
            run, attempt = done.runs[run_id], self._attempts[run_id]
            if run.state != "executing" or run.lease_epoch != attempt.run.lease_epoch:
                self.forget(run_id)
                continue
            attempt.take_note(run)
            self._checked_s[run_id] = self._clock.monotonic()

    def doubt(self, run_ids: Iterable[str]) -> None:
        """Look these runs up before they are used again: another process moved them."""
        for run_id in run_ids:
            self._checked_s.pop(run_id, None)

    def asked(self, run_id: str, kind: StopKind) -> None:
        """Hear that a run was asked to stop."""
        attempt = self._attempts.get(run_id)
        if attempt is not None and attempt.run.stop != kind:
            self.doubt([run_id])

    def find(self, run_id: str, lease_epoch: int | None) -> Attempt | None:
        """Return the attempt of a lease, or of whatever lease there is, if it is known and need not be looked up."""
        known = self._attempts.get(run_id)
        if known is None or known.lost or lease_epoch not in (None, known.run.lease_epoch):
            return None
        checked_s = self._checked_s.get(run_id, -math.inf)
        return known if self._clock.monotonic() - checked_s <= self._believed_s else None

    def brought_up(self, run: Run) -> Attempt | None:
        """Return the attempt of a run's lease, as the store says that it stands; None for one that is not known.

        Two attempts of one lease would not know of each other's numbers.
        """
        known = self._attempts.get(run.run_id)
        if known is None or known.lost or known.run.lease_epoch != run.lease_epoch:
            return None
        if run.place > known.run.place:
            known.take_note(run)
        if run.place != known.place:
            stand(known, run)
        self._checked_s[run.run_id] = self._clock.monotonic()
        return known

    def add(self, attempt: Attempt) -> Attempt:
        """Know an attempt that was opened."""
        run_id = attempt.run.run_id
        # A run has one turn, whichever of its attempts a call still holds.
        attempt.turn = self._turns.setdefault(run_id, attempt.turn)
        self._attempts[run_id] = attempt
        self._checked_s[run_id] = self._clock.monotonic()
        while len(self._attempts) > self._most:
            self.forget(next(iter(self._attempts)))
        return attempt

    def forget(self, run_id: str) -> None:
        """Know an attempt no more."""
        self._attempts.pop(run_id, None)
        self._checked_s.pop(run_id, None)
        self.renewed_s.pop(run_id, None)


def stand(attempt: Attempt, run: Run) -> None:
    """Let an attempt begin its next write where the run stands, with what the store has kept by then."""
    attempt.place = run.place
    attempt.received = None
