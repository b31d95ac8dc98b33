"""Make runs of workflows: they wait for their steps from the beginning, and execute nothing themselves."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from runwright import ids
from runwright.clock import Clock
from runwright.domain import workflow_events as w
from runwright.domain.accounts import Project
from runwright.domain.commands import IdempotencyKey, Submit
from runwright.domain.ending import draft
from runwright.domain.run import Spec, Wait, WorkflowRef
from runwright.domain.tenancy import Actor, Cause
from runwright.domain.workflow import Workflow
from runwright.engine.commit import Commit
from runwright.engine.requests import Submitted
from runwright.engine.submit import Submitter, workflow_scope
from runwright.engine.values import Values, encode
from runwright.errors import Conflict

KIND = "workflow"
REPLAY = "system:replay"
_canonical = msgspec.json.Encoder(order="deterministic").encode


class WorkflowOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks of one run of a workflow; `reused` says which steps have which run already."""

    payload: dict[str, Any] = {}
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    idempotency_key: str | None = None
    debug_mode: bool = False
    replay_of: str | None = None
    replay_version: str | None = None
    reused: dict[str, str] = {}


class WorkflowRuns:
    """Turns orders into runs of workflows."""

    def __init__(self, commit: Commit, values: Values, submitter: Submitter, clock: Clock) -> None:
        self._commit = commit
        self._values = values
        self._submitter = submitter
        self._clock = clock

    async def submit(
        self,
        actor: Actor,
        project: Project,
        workflow: Workflow,
        order: WorkflowOrder,
        *,
        request_id: str | None,
        trace_id: str,
    ) -> Submitted:
        """Create one run, or find the one that the idempotency key made.

        Raises `Conflict` for a disabled workflow, `IdempotencyMismatch`, `TooLarge`, `Overloaded`.
        """
        await self._values.ensure([workflow.project_id])
        command = self.command(actor, project, workflow, order, request_id=request_id, trace_id=trace_id)
        answer: Submitted = await self._commit.apply(command)
        return answer

    def command(
        self,
        actor: Actor,
        project: Project,
        workflow: Workflow,
        order: WorkflowOrder,
        *,
        request_id: str | None,
        trace_id: str,
    ) -> Submit:
        """Return the command that creates the run of an order."""
        definition, now = workflow.definition, self._clock.now()
        if not definition.enabled:
            raise Conflict(f"the workflow {workflow.slug!r} is disabled; enable it first", code="workflows.disabled")
        encoded = encode(order.payload)
        spec = Spec(
            run_id=ids.new_id("run", now),
            org_id=workflow.org_id,
            project_id=workflow.project_id,
            kind=KIND,
            executor=KIND,
            payload=self._values.ref(workflow.project_id, encoded),
            weight=project.weight,
            tags=order.tags,
            metadata=order.metadata,
            idempotency_key=order.idempotency_key,
            triggered_by="manual" if order.replay_of is None else "retry",
            replay_of=order.replay_of,
            trace_id=trace_id,
            created_at=now,
            created_by=actor.label,
            created_by_user_id=actor.user_id,
            created_by_user_name=actor.name,
            created_by_email=actor.email,
            debug_mode=order.debug_mode,
            workflow=WorkflowRef(workflow.workflow_id, workflow.version, workflow.workflow_version_id),
        )
        opening, spec = self._submitter.opened(spec)
        return Submit(
            spec=spec,
            opening=opening,
            payload=self._values.seal_payload(spec, encoded),
            cause=Cause(actor.label, None, request_id),
            idempotency=_idempotency(workflow, order),
            wait=Wait("child", limit_s=definition.timeout_secs),
            drafts=tuple(
                draft("workflow.step_reused", w.StepReused(key, run_id), f"step {key} taken over", actor=REPLAY)
                for key, run_id in order.reused.items()
            ),
        )


def _idempotency(workflow: Workflow, order: WorkflowOrder) -> IdempotencyKey | None:
    if order.idempotency_key is None:
        return None
    asked = msgspec.structs.replace(order, idempotency_key=None)
    scope = workflow_scope(workflow.project_id, workflow.workflow_id, order.replay_of)
    return IdempotencyKey(scope, order.idempotency_key, sha256(_canonical(asked)).hexdigest())
