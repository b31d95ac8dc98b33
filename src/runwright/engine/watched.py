"""Which projects have somebody who wants to be told of more than the ends of runs.

Ends are in every record that the commit leaves, so nobody has to be known for them. Other steps are many and rarely
wanted: they are recorded for the projects named here, and for all of them while that is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runwright.domain.events import Event
from runwright.domain.rollups import Step
from runwright.domain.run import Run
from runwright.domain.webhooks import STEP_TYPES
from runwright.domain.words import word_of


class Watched:
    """What a commit asks. Whoever changes a subscription, or hears that another process did, calls `forget`."""

    def __init__(self) -> None:
        self._projects: frozenset[str] | None = None
        self._generation = 0

    @property
    def known(self) -> bool:
        """Tell whether it need not be read again."""
        return self._projects is not None

    @property
    def generation(self) -> int:
        """Return how often it was forgotten: what was read before must not be believed after."""
        return self._generation

    def forget(self) -> None:
        """Record every step, until the projects are read again."""
        self._generation += 1
        self._projects = None

    def learn(self, projects: Iterable[str], generation: int) -> None:
        """Know the projects as they were read, unless something has changed since."""
        if generation == self._generation:
            self._projects = frozenset(projects)

    def steps(self, runs: Mapping[str, Run], events: Mapping[str, list[Event]]) -> list[Step]:
        """Return what a transaction must record of its events."""
        wanted = self._projects
        if wanted is not None and not wanted:
            return []
        found: list[Step] = []
        for run_id, appended in events.items():
            run = runs[run_id]
            spec = run.spec
            if wanted is not None and spec.project_id not in wanted:
                continue
            found += [
                Step(spec.project_id, spec.org_id, run_id, event.seq, event.type, word_of(run), run.attempt)
                for event in appended
                if event.type in STEP_TYPES
            ]
        return found
