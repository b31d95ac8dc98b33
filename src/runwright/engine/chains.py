"""Start the runs that the end of another one starts: `on_complete` and `on_failure` of its job's version."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from runwright.domain.accounts import Project
from runwright.domain.commands import IdempotencyKey, Submit
from runwright.domain.job_options import Link
from runwright.domain.run import Run
from runwright.domain.template import fill
from runwright.domain.tenancy import Actor
from runwright.engine.commit import Commit
from runwright.engine.orders import Order
from runwright.engine.submit import Submitter
from runwright.engine.values import Values
from runwright.errors import Conflict, Error, NotFound, StoreError
from runwright.store.base import Record, Store
from runwright.store.queries import jobs as q
from runwright.store.queries.auth import PROJECT, project
from runwright.telemetry import report


class Chains:
    """The errand `chain`: makes each run once, however often it is done; `depth_max` bounds chains that go round."""

    def __init__(self, store: Store, commit: Commit, submitter: Submitter, values: Values, *, depth_max: int) -> None:
        self._store = store
        self._commit = commit
        self._submitter = submitter
        self._values = values
        self._depth_max = depth_max

    async def follow(self, run_id: str, body: bytes) -> None:
        """Start what follows a run that has ended. What cannot be started is told, and left out."""
        record = await self._store.record(run_id)
        if record is None or record.run.spec.job_version_id is None or not record.has_data:
            return
        run = record.run
        rows = await self._store.fetch(q.VERSION, job_version_id=run.spec.job_version_id)
        if not rows:
            return
        definition = q.version(rows[0]).definition
        links = definition.on_complete if run.state == "completed" else definition.on_failure
        await self._values.ensure([run.spec.project_id])
        found = await self._store.fetch(PROJECT, org_id=run.spec.org_id, project_id=run.spec.project_id)
        known = self._known(record)
        commands = []
        for place, link in enumerate(links):
            try:
                commands.append(await self._command(run, project(found[0]), link, place, known))
            except StoreError:
                raise
            except Error as refused:
                report("chain.refused", run_id=run_id, job=link.job, code=refused.code, detail=refused.detail)
        for answer in await self._commit.apply_all(commands) if commands else ():
            if isinstance(answer, Error):
                raise answer

    async def _command(self, run: Run, owner: Project, link: Link, place: int, known: dict[str, Any]) -> Submit:
        spec = run.spec
        if spec.chain_depth >= self._depth_max:
            raise Conflict(f"the chain is {spec.chain_depth} runs long already", code="chains.too_long")
        rows = await self._store.fetch(q.JOB_BY_SLUG, project_id=spec.project_id, slug=link.job)
        if not rows:
            raise NotFound("job", link.job)
        order = Order(
            payload=known["payload"] if link.payload_template is None else fill(link.payload_template, known),
            triggered_by="event",
            triggered_by_run_id=spec.run_id,
            chain_depth=spec.chain_depth + 1,
        )
        actor = Actor(kind="system", id="chain", org_id=spec.org_id)
        command = self._submitter.command(actor, owner, q.job(rows[0]), order, request_id=None, trace_id=spec.trace_id)
        key = IdempotencyKey(f"{spec.project_id}/chain/{spec.run_id}", str(place), link.job)
        return replace(command, idempotency=key)

    def _known(self, record: Record) -> dict[str, Any]:
        """Return what templates may refer to."""
        run, spec = record.run, record.run.spec
        result = record.result
        return {
            "payload": self._values.payload(spec, record.payload) or {},
            "result": None if result is None else self._values.open(spec.project_id, spec.run_id, "result", result),
            "run": {
                "id": spec.run_id,
                "job_id": spec.job_id,
                "state": run.state,
                "error": run.error,
                "error_class": run.error_class,
            },
        }
