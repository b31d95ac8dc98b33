"""The verbs of workflows: create, update, delete, find. Every effective change is a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runwright import ids
from runwright.domain.accounts import Project
from runwright.domain.job_terms import Overrides, override_problems
from runwright.domain.tenancy import Actor
from runwright.domain.workflow import Workflow, WorkflowDefinition, WorkflowVersion, problems
from runwright.engine.job_versions import said
from runwright.engine.steps import find_job
from runwright.errors import AlreadyExists, FieldError, InvalidRequest, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import workflows as q
from runwright.store.queries.shapes import Slice, read


class Workflows:
    """Make, change, delete and find workflows. Runs under way go on in their version, whatever becomes of it."""

    def __init__(self, store: Store, idempotency_ttl_us: int) -> None:
        self._store = store
        self._ttl_us = idempotency_ttl_us

    async def create(
        self, actor: Actor, project: Project, definition: WorkflowDefinition, idempotency_key: str | None = None
    ) -> Made[Workflow]:
        """Make a workflow, in its version 1.

        Raises `InvalidRequest` for steps that are no workflow, and `AlreadyExists` for a slug that the project has.
        """
        actor.require("jobs:write")
        _require_visible(actor, project)
        key = key_for(project.project_id, "workflows.create", idempotency_key, definition)

        async def find(tx: Transaction, workflow_id: str) -> Workflow | None:
            rows = await tx.fetch(q.ONE, workflow_id=workflow_id)
            return q.workflow(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Workflow]:
            await _check(tx, project.project_id, definition)
            await _require_free(tx, project.project_id, definition.slug)
            made = Workflow(
                workflow_id=ids.new_id("wf", tx.now),
                org_id=project.org_id,
                project_id=project.project_id,
                version=1,
                workflow_version_id=ids.new_id("wfv", tx.now),
                definition=definition,
                created_at=tx.now,
                updated_at=tx.now,
            )
            row = msgspec.structs.asdict(made) | {"slug": made.slug, "definition": q.encoded(definition)}
            await tx.fetch(q.INSERT, **row, deleted_at=None)
            await _insert_version(tx, made, actor.label)
            data = {"slug": made.slug, "project_id": made.project_id}
            await audit.append(tx, made.org_id, actor.label, "workflow.created", made.workflow_id, data)
            return made.workflow_id, made

        async def work(tx: Transaction) -> Made[Workflow]:
            await audit.lock(tx, project.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._store.write(work)

    async def update(self, actor: Actor, workflow: Workflow, changes: Mapping[str, Any]) -> Workflow:
        """Merge the changed fields into a workflow; each field is replaced whole.

        A change that changes nothing makes no version. Raises `NotFound` when the workflow was deleted meanwhile.
        """
        actor.require("jobs:write")

        async def work(tx: Transaction) -> Workflow:
            await audit.lock(tx, workflow.org_id)
            old = await _current(tx, workflow)
            definition = _converted(msgspec.structs.asdict(old.definition) | dict(changes))
            if q.encoded(definition) == q.encoded(old.definition):
                return old
            await _check(tx, old.project_id, definition)
            if definition.slug != old.slug:
                await _require_free(tx, old.project_id, definition.slug)
            return await _replace(tx, old, definition, actor.label)

        return await self._store.write(work)

    async def delete(self, actor: Actor, workflow: Workflow) -> None:
        """Delete a workflow: its runs and versions stay, and those under way go on; its slug is free."""
        actor.require("jobs:write")

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, workflow.org_id)
            current = await _current(tx, workflow)
            await tx.fetch(q.DELETE, row=workflow.workflow_id, deleted_at=tx.now)
            data = {"slug": current.slug}
            await audit.append(tx, workflow.org_id, actor.label, "workflow.deleted", workflow.workflow_id, data)

        await self._store.write(work)

    async def find(self, actor: Actor, ident: str, project: Project | None) -> Workflow:
        """Return a workflow by its id, or by its slug in `project`. Raises `NotFound` for what is not the caller's."""
        own = self._store.within(actor.org_id)
        if ids.is_id("wf", ident):
            rows = await own.fetch(q.ONE, workflow_id=ident)
        else:
            project_id = "" if project is None else project.project_id
            rows = await own.fetch(q.BY_SLUG, project_id=project_id, slug=ident)
        found = q.workflow(rows[0]) if rows else None
        if found is None or not actor.sees(found.org_id, found.project_id):
            raise NotFound("workflow", ident)
        if project is not None and found.project_id != project.project_id:
            raise NotFound("workflow", ident)
        return found

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[Workflow]:
        """Return workflows of a project, or without one all that the caller may see."""
        actor.require("jobs:read")
        if project is not None:
            _require_visible(actor, project)
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None:
            rows = await read(own, q.PAGE_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.PAGE, part, org_id=actor.org_id)
        return [q.workflow(row) for row in rows]

    async def versions(self, actor: Actor, workflow: Workflow, part: Slice) -> list[WorkflowVersion]:
        """Return the versions of a workflow."""
        actor.require("jobs:read")
        own = self._store.within(actor.org_id)
        return [q.version(row) for row in await read(own, q.VERSIONS, part, workflow_id=workflow.workflow_id)]

    async def version(self, workflow_version_id: str) -> WorkflowVersion:
        """Return a version that a run was pinned to: the caller was shown the run."""
        rows = await self._store.fetch(q.VERSION, workflow_version_id=workflow_version_id)
        if not rows:
            raise NotFound("version", workflow_version_id)
        return q.version(rows[0])


def _converted(fields: Mapping[str, Any]) -> WorkflowDefinition:
    unknown = [FieldError(name, "is not known") for name in fields if name not in WorkflowDefinition.__struct_fields__]
    if unknown:
        raise InvalidRequest(fields=unknown)
    try:
        return msgspec.convert(fields, WorkflowDefinition)
    except msgspec.ValidationError as wrong:
        raise InvalidRequest(fields=[said(wrong)]) from None


async def _check(tx: Transaction, project_id: str, definition: WorkflowDefinition) -> None:
    found = problems(definition.steps)
    jobs = {}
    for place, step in enumerate(definition.steps):
        if step.job not in jobs:
            jobs[step.job] = await find_job(tx, project_id, step.job)
        job = jobs[step.job]
        if job is None:
            found.append(FieldError(f"steps[{place}].job", f"the project has no job {step.job!r}"))
            continue
        overrides = Overrides(retry_backoff=step.retry_backoff)
        wrong = override_problems(job.definition, overrides)
        found += [FieldError(f"steps[{place}].{each.path}", each.message) for each in wrong]
    if found:
        raise InvalidRequest(fields=found)


async def _replace(tx: Transaction, old: Workflow, definition: WorkflowDefinition, by: str) -> Workflow:
    new = msgspec.structs.replace(
        old,
        version=old.version + 1,
        workflow_version_id=ids.new_id("wfv", tx.now),
        definition=definition,
        updated_at=tx.now,
    )
    await tx.fetch(
        q.CHANGE,
        row=new.workflow_id,
        slug=new.slug,
        version=new.version,
        workflow_version_id=new.workflow_version_id,
        definition=q.encoded(definition),
        updated_at=new.updated_at,
    )
    await _insert_version(tx, new, by)
    before, after = msgspec.structs.asdict(old.definition), msgspec.structs.asdict(definition)
    data = {"version": new.version, "changed": [name for name in sorted(after) if after[name] != before[name]]}
    await audit.append(tx, new.org_id, by, "workflow.updated", new.workflow_id, data)
    return new


async def _insert_version(tx: Transaction, workflow: Workflow, by: str) -> None:
    await tx.fetch(
        q.INSERT_VERSION,
        workflow_version_id=workflow.workflow_version_id,
        org_id=workflow.org_id,
        workflow_id=workflow.workflow_id,
        version=workflow.version,
        definition=q.encoded(workflow.definition),
        created_at=workflow.updated_at,
        created_by=by,
    )


async def _require_free(tx: Transaction, project_id: str, slug: str) -> None:
    if await tx.fetch(q.BY_SLUG, project_id=project_id, slug=slug):
        raise AlreadyExists(f"The project has a workflow {slug!r} already.")


async def _current(tx: Transaction, workflow: Workflow) -> Workflow:
    rows = await tx.fetch(q.ONE, workflow_id=workflow.workflow_id)
    if not rows:
        raise NotFound("workflow", workflow.workflow_id)
    return q.workflow(rows[0])


def _require_visible(actor: Actor, project: Project) -> None:
    if not actor.sees(project.org_id, project.project_id):
        raise NotFound("project", project.slug)
