"""Do again what an ended run of a workflow did: all of its steps, or those that did not complete."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from runwright.domain.accounts import Project
from runwright.domain.commands import Submit
from runwright.domain.tenancy import Actor
from runwright.domain.workflow import Step, Workflow
from runwright.domain.workflow_plan import reusable
from runwright.engine.advances import Advances
from runwright.engine.workflow_runs import WorkflowOrder, WorkflowRuns
from runwright.engine.workflows import Workflows
from runwright.errors import Gone
from runwright.store.base import Record, Store


class WorkflowReplays:
    """Makes the commands that do runs of workflows again."""

    def __init__(self, store: Store, definitions: Workflows, runs: WorkflowRuns, advances: Advances) -> None:
        self._store = store
        self._definitions = definitions
        self._runs = runs
        self._advances = advances

    async def command(
        self,
        actor: Actor,
        project: Project,
        record: Record,
        order: WorkflowOrder,
        *,
        latest: bool,
        from_failed: bool,
        request_id: str | None,
        trace_id: str,
    ) -> Submit:
        """Return the command that makes the new run, in the version of the old one or in the newest.

        With `from_failed` it takes over the steps that completed, unless they came after one that must be done again.
        Raises `NotFound` for a deleted workflow, `Conflict` for a disabled one, `Gone` for results that were erased.
        """
        spec = record.run.spec
        assert spec.workflow is not None
        workflow = await self._definitions.find(actor, spec.workflow.workflow_id, project)
        if not latest:
            workflow = await self._pinned(workflow, spec.workflow.workflow_version_id)
        if from_failed:
            order = replace(order, reused=await self._reused(workflow.definition.steps, spec.run_id))
        return self._runs.command(actor, project, workflow, order, request_id=request_id, trace_id=trace_id)

    async def _pinned(self, workflow: Workflow, version_id: str) -> Workflow:
        if workflow.workflow_version_id == version_id:
            return workflow
        then = await self._definitions.version(version_id)
        # One that is disabled now starts nothing, whatever its version was.
        definition = replace(then.definition, enabled=workflow.definition.enabled)
        return replace(workflow, version=then.version, workflow_version_id=version_id, definition=definition)

    async def _reused(self, steps: Sequence[Step], run_id: str) -> dict[str, str]:
        reused = reusable(steps, await self._advances.stages(run_id))
        there = {each.run.run_id: each for each in await self._store.records_of(list(reused.values()))}
        for key, step_run_id in reused.items():
            if step_run_id not in there or not there[step_run_id].has_data:
                said = f"the result of the step {key!r} is not there any more; replay all of it"
                raise Gone(said, code="workflows.result_gone")
        return reused
