"""What workflows need, put together over a store: their definitions, their runs, and who leads these on."""

from __future__ import annotations

import msgspec

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.run import Run
from runwright.domain.workflow import Step
from runwright.domain.workflow_plan import Stage
from runwright.engine.advances import Advances
from runwright.engine.commit import Commit
from runwright.engine.reader import require_data
from runwright.engine.redactors import Redactors
from runwright.engine.steps import Steps
from runwright.engine.submit import Submitter
from runwright.engine.values import Values
from runwright.engine.workflow_replays import WorkflowReplays
from runwright.engine.workflow_runs import WorkflowRuns
from runwright.engine.workflows import Workflows
from runwright.errors import NotFound
from runwright.store.base import Record, Store


class StepSeen(msgspec.Struct, frozen=True):
    """A step of a workflow's run: what the log says, its run if there is one, and whether the workflow is over."""

    step: Step
    stage: Stage
    run: Run | None
    over: bool


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
        self._store = store
        self.definitions = Workflows(store, int(settings.idempotency_ttl_h * 3_600_000_000))
        self.runs = WorkflowRuns(commit, values, submitter, clock)
        steps = Steps(store, submitter, values, redactors)
        self.advances = Advances(store, commit, steps, values, clock, every_s=settings.workflow_poll_s)
        self.replays = WorkflowReplays(store, self.definitions, self.runs, self.advances)

    async def steps_of(self, record: Record) -> list[StepSeen]:
        """Return the steps of a run that its caller was shown, in the order of its definition.

        Raises `NotFound` for a run of no workflow, and `Gone` for one whose data are not there any more.
        """
        run = record.run
        if run.spec.workflow is None:
            raise NotFound("run", run.run_id)
        require_data(record)
        definition = (await self.definitions.version(run.spec.workflow.workflow_version_id)).definition
        stages = await self.advances.stages(run.run_id)
        named = [stage.run_id for stage in stages.values() if stage.run_id is not None]
        runs = {each.run.run_id: each.run for each in await self._store.records_of(named)}
        found = []
        for step in definition.steps:
            stage = stages.get(step.key, Stage())
            found.append(StepSeen(step, stage, runs.get(stage.run_id or ""), run.terminal))
        return found
