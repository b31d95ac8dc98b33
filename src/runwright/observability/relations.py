"""What the metrics tell of runs that wait, and of what starts them: dependencies, chains, children, events."""

from __future__ import annotations

from runwright.domain.run import Run, Spec
from runwright.observability import catalogue as m
from runwright.observability.tallies import Counter, Histogram

_ENDS = {"queued": "came", "executing": "came", "failed": "late", "paused": "paused"}


class RelationTallies:
    """Counts what starts runs, and what they wait for; `shown` are its metrics."""

    def __init__(self) -> None:
        self._triggered = Counter(m.TRIGGERED)
        self._waits = Counter(m.WAITS)
        self._seconds = Histogram(m.WAIT_SECONDS)
        self.shown = (self._triggered, self._waits, self._seconds)

    def born(self, spec: Spec) -> None:
        """Count a run that was made."""
        self._triggered.add(("chain" if spec.chain_depth else spec.triggered_by,))

    def moved(self, old: Run | None, new: Run) -> None:
        """Count the wait that a run began or ended within one transaction."""
        waited = old is not None and old.state == "waiting"
        waits = new.state == "waiting"
        if waits and not waited:
            self._waits.add((new.reason or "",))
        elif waited and not waits and old is not None:
            took = max(new.since_at - old.since_at, 0) / 1e6
            self._seconds.observe(took, (old.reason or "", _ENDS.get(new.state, "stopped")))
