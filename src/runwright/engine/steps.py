"""Make the runs of a workflow's steps: ordinary runs of jobs, with payloads of what came before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwright import ids
from runwright.domain.accounts import Project
from runwright.domain.commands import Submit
from runwright.domain.job import Job
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Run
from runwright.domain.template import fill, references
from runwright.domain.tenancy import Actor
from runwright.domain.workflow import Step
from runwright.domain.workflow_plan import Stage
from runwright.engine.orders import Order
from runwright.engine.redactors import Redactors
from runwright.engine.submit import Submitter
from runwright.engine.values import Values
from runwright.errors import Gone, NotFound
from runwright.store.base import Readings, Record, Store, Transaction
from runwright.store.queries import jobs as q
from runwright.store.queries.auth import PROJECT, project


async def find_job(source: Readings | Transaction, project_id: str, ident: str) -> Job | None:
    """Return the job of a project that a step names, by its slug or id; None for none."""
    if ids.is_id("job", ident):
        rows = await source.fetch(q.JOB, job_id=ident)
    else:
        rows = await source.fetch(q.JOB_BY_SLUG, project_id=project_id, slug=ident)
    found = q.job(rows[0]) if rows else None
    return found if found is not None and found.project_id == project_id else None


class Steps:
    """Turns the steps of a workflow's run into commands."""

    def __init__(self, store: Store, submitter: Submitter, values: Values, redactors: Redactors) -> None:
        self._store = store
        self._submitter = submitter
        self._values = values
        self._redactors = redactors

    async def command(self, record: Record, step: Step, stages: Mapping[str, Stage]) -> Submit:
        """Return the command that makes the run of a step: of its job as it is now, with the step's overrides.

        Raises what a trigger raises; `NotFound` for a job that is not there, and `Gone` where a result that the step
        needs was erased or removed.
        """
        run, spec = record.run, record.run.spec
        await self._values.ensure([spec.project_id])
        job = await find_job(self._store, spec.project_id, step.job)
        if job is None:
            raise NotFound("job", step.job)
        order = Order(
            payload=await self._payload(record, step, stages),
            max_attempts_override=step.max_attempts,
            timeout_secs_override=step.timeout_secs,
            retry_backoff=step.retry_backoff,
            retry_initial_delay_secs=step.retry_initial_delay_secs,
            retry_max_delay_secs=step.retry_max_delay_secs,
            debug_mode=run.debug_mode,
            parent_run_id=run.run_id,
            step=step.key,
            triggered_by="workflow",
        )
        actor = Actor(kind="system", id="workflow", org_id=spec.org_id)
        owner = await self._project(run)
        return self._submitter.command(actor, owner, job, order, request_id=None, trace_id=spec.trace_id)

    def redacted(self, run: Run, said: str) -> RedactedText:
        """Return a text of ours about what the run holds, without its project's secrets."""
        return self._redactors.of(run.spec.project_id).text(said)

    async def _project(self, run: Run) -> Project:
        found = await self._store.fetch(PROJECT, org_id=run.spec.org_id, project_id=run.spec.project_id)
        if not found:
            raise NotFound("project", run.spec.project_id)
        return project(found[0])

    async def _payload(self, record: Record, step: Step, stages: Mapping[str, Stage]) -> dict[str, Any]:
        payload = self._values.payload(record.run.spec, record.payload) or {}
        if step.payload_template is None:
            return payload
        named = {path.split(".")[1] for path in references(step.payload_template) if path.startswith("steps.")}
        results = {key: {"result": await self._result(key, stages.get(key, Stage()))} for key in sorted(named)}
        filled: dict[str, Any] = fill(step.payload_template, {"payload": payload, "steps": results})
        return filled

    async def _result(self, key: str, stage: Stage) -> Any:
        if stage.standing != "completed" or stage.run_id is None:
            return None
        record = await self._store.record(stage.run_id)
        if record is None or not record.has_data:
            raise Gone(f"the result of the step {key!r} is not there any more", code="workflows.result_gone")
        spec = record.run.spec
        return self._values.open(spec.project_id, spec.run_id, "result", record.result)
