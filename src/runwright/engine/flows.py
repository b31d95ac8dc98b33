"""What workflows need, put together over a store: their definitions, their runs, and who leads these on."""

from __future__ import annotations

from runwright.clock import Clock
from runwright.config import Settings
from runwright.engine.advances import Advances
from runwright.engine.commit import Commit
from runwright.engine.redactors import Redactors
from runwright.engine.steps import Steps
from runwright.engine.submit import Submitter
from runwright.engine.values import Values
from runwright.engine.workflow_replays import WorkflowReplays
from runwright.engine.workflow_runs import WorkflowRuns
from runwright.engine.workflows import Workflows
from runwright.store.base import Store


class Flows:
    """The verbs of workflows: `definitions` makes and finds them, `runs` starts them, `advances` leads them on."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        commit: Commit,
        values: Values,
        submitter: Submitter,
        redactors: Redactors,
    ) -> None:
        self.definitions = Workflows(store, int(settings.idempotency_ttl_h * 3_600_000_000))
        self.runs = WorkflowRuns(commit, values, submitter, clock)
        steps = Steps(store, submitter, values, redactors)
        self.advances = Advances(store, commit, steps, values, clock, every_s=settings.workflow_poll_s)
        self.replays = WorkflowReplays(store, self.definitions, self.runs, self.advances)
