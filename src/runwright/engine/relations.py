"""What runs have to do with each other: the signals that wake them, their children, and those that continue them."""

from __future__ import annotations

from runwright.clock import Clock
from runwright.config import Settings
from runwright.engine.children import Children
from runwright.engine.commit import Commit
from runwright.engine.jobs import Jobs
from runwright.engine.signals import Signals
from runwright.engine.spawning import Spawner
from runwright.engine.submit import Submitter
from runwright.engine.values import Values
from runwright.store.base import Store


class Relations:
    """The verbs of relations, put together over a store."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        commit: Commit,
        values: Values,
        submitter: Submitter,
        jobs: Jobs,
    ) -> None:
        self.signals = Signals(store, commit, values, submitter, clock, most=settings.signal_wakes_max)
        self.spawner = Spawner(store, commit, submitter, jobs.directory, lineage_max=settings.lineage_max)
        self.children = Children(store, commit, values)
