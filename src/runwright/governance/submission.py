"""The command that creates a run of the runtime surface: what is the same for runs, loops and deliveries."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright import ids
from runwright.domain.accounts import Project
from runwright.domain.commands import IdempotencyKey, Submit
from runwright.domain.job_terms import project_limit
from runwright.domain.run import Spec
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.engine import Engine
from runwright.engine.values import encode


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a run, in which project, and by which request."""

    actor: Actor
    project: Project
    request_id: str | None
    trace_id: str


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What is made: a run of a kind, for an executor, from a queue."""

    kind: str
    executor: str
    queue: str


async def submission(
    engine: Engine,
    origin: Origin,
    kind: Kind,
    terms: RuntimeTerms,
    payload: Any,
    *,
    idempotency: IdempotencyKey | None,
    idempotency_key: str | None = None,
    priority: int = 0,
    labels: dict[str, str] | None = None,
    batch_id: str | None = None,
    triggered_by_run_id: str | None = None,
) -> Submit:
    """Return the command; its payload is sealed with the key of the project."""
    actor, project, now = origin.actor, origin.project, engine.clock.now()
    await engine.values.ensure([project.project_id])
    encoded = encode(payload)
    opening, spec = engine.submitter.opened(
        Spec(
            run_id=ids.new_id("run", now),
            org_id=project.org_id,
            project_id=project.project_id,
            kind=kind.kind,
            executor=kind.executor,
            queue=kind.queue,
            payload=engine.values.ref(project.project_id, encoded),
            priority=priority,
            weight=project.weight,
            limits=project_limit(project),
            tags=labels or {},
            idempotency_key=idempotency_key,
            batch_id=batch_id,
            triggered_by_run_id=triggered_by_run_id,
            runtime=terms,
            trace_id=origin.trace_id,
            created_at=now,
            created_by=actor.label,
            created_by_user_id=actor.user_id,
            created_by_user_name=actor.name,
            created_by_email=actor.email,
        )
    )
    return Submit(
        spec=spec,
        opening=opening,
        payload=engine.values.seal_payload(spec, encoded),
        cause=Cause(actor.label, None, origin.request_id),
        idempotency=idempotency,
    )
