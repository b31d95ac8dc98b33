"""Make runs: from an order for a job to the command that creates the run."""

from __future__ import annotations

from hashlib import sha256
from operator import attrgetter
from typing import Any

import msgspec

from runwright import ids
from runwright.clock import Clock
from runwright.domain.accounts import Project
from runwright.domain.commands import IdempotencyKey, Submit
from runwright.domain.dependency import dependency_key
from runwright.domain.gathering import due_at
from runwright.domain.instants import SECOND_US
from runwright.domain.job import Job
from runwright.domain.job_terms import Overrides, limits, override_problems, retry_policy
from runwright.domain.redaction import Redacted
from runwright.domain.retry import RetryPolicy
from runwright.domain.run import Spec, Wait
from runwright.domain.schedule import inside
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.commit import Commit
from runwright.engine.dependencies import Known
from runwright.engine.gathers import gather_of, item_of
from runwright.engine.orders import Order
from runwright.engine.redactors import Redactors
from runwright.engine.requests import Submitted
from runwright.engine.schema import JobSchemas
from runwright.engine.templates import Templates
from runwright.engine.values import Values, encode
from runwright.errors import Conflict, InvalidRequest

_canonical = msgspec.json.Encoder(order="deterministic").encode
_spec_bytes = msgspec.json.Encoder().encode


class Submitter:
    """Turns orders into runs, one or many in one transaction."""

    def __init__(
        self, commit: Commit, values: Values, schemas: JobSchemas, redactors: Redactors, clock: Clock, known: Known
    ) -> None:
        self._commit = commit
        self._schemas = schemas
        self._known = known
        self._values = values
        self._redactors = redactors
        self._clock = clock
        self._templates = Templates()

    async def submit(
        self, actor: Actor, project: Project, job: Job, order: Order, *, request_id: str | None, trace_id: str
    ) -> Submitted:
        """Create one run, or find the one that the idempotency key made.

        Raises `InvalidRequest`, `Conflict` for a disabled job, `IdempotencyMismatch`, `TooLarge`, `Overloaded`.
        """
        await self._values.ensure([job.project_id])
        command = self.command(actor, project, job, order, request_id=request_id, trace_id=trace_id)
        answer: Submitted = await self._commit.apply(command)
        return answer

    def command(
        self, actor: Actor, project: Project, job: Job, order: Order, *, request_id: str | None, trace_id: str
    ) -> Submit:
        """Return the command that creates the run of an order, with everything checked that needs no database."""
        definition = job.definition
        if not definition.enabled:
            raise Conflict(f"the job {job.slug!r} is disabled; enable it first", code="jobs.disabled")
        policy = _overridden(job, order)
        now = self._clock.now()
        cause = Cause(actor.label, None, request_id)
        encoded = encode(order.payload)
        self._schemas.require_payload(job, order, len(encoded))
        gather = gather_of(job, order)
        if definition.batch is not None and order.replay_of is None:
            encoded = encode(item_of(order, now, cause, trace_id, alone=gather is None))
        asked = order
        if definition.window is not None and gather is None:
            opens_at = inside(definition.window, max(now, order.scheduled_at or now))
            order = msgspec.structs.replace(order, scheduled_at=opens_at) if opens_at > now else order
        said = _said(job, project, order)
        if policy is not None:
            said |= {"retry": policy, "max_attempts": policy.max_attempts}
        if gather is not None:
            said["gather"] = gather
        spec = msgspec.structs.replace(
            self._templates.of(job, project),
            run_id=ids.new_id("run", now),
            payload=self._values.ref(job.project_id, encoded),
            trace_id=trace_id,
            created_at=now,
            created_by=actor.label,
            created_by_user_id=actor.user_id,
            created_by_user_name=actor.name,
            created_by_email=actor.email,
            **said,
        )
        opening, spec = self.opened(spec)
        begins_at = order.scheduled_at if gather is None else due_at(gather, now, now)
        return Submit(
            spec=spec,
            opening=opening,
            payload=self._values.seal_payload(spec, encoded),
            cause=cause,
            expires_at=_expiry(order.ttl_secs or definition.run_ttl_secs, begins_at, now),
            idempotency=_idempotency(job, asked),
            dedup=_dedup(job, asked, encoded),
            wait=Wait("dependency", limit_s=known[job.job_id]) if job.job_id in (known := self._known.jobs) else None,
        )

    def opened(self, spec: Spec) -> tuple[Redacted, Spec]:
        """Return the redacted bytes of a spec, and the spec that they say: what is stored is what is used.

        Raises `InvalidRequest` where a secret stands in place of something that cannot be told otherwise.
        """
        plain = _spec_bytes(spec)
        opening = self._redactors.of(spec.project_id).raw(plain)
        if opening == plain:
            return opening, spec
        try:
            return opening, msgspec.json.decode(opening, type=Spec)
        except msgspec.ValidationError as broken:
            where = str(broken).rpartition(" - at ")[2].strip("`").removeprefix("$.")
            raise InvalidRequest.at(where, "a secret that this server knows stands where it cannot be hidden") from None


_OWN = {"payload", "tags", "metadata", "priority"}
_SAME_NAME = sorted({*Order.__struct_fields__} & {*Spec.__struct_fields__} - _OWN)
"""The fields of an order that its spec has, too."""

_shared = attrgetter(*_SAME_NAME)
_USUAL = _shared(Order())
"""What these are when nobody says anything."""


def _said(job: Job, project: Project, order: Order) -> dict[str, Any]:
    """Return what an order says otherwise than the template of its job, by the fields of the spec."""
    definition = job.definition
    shared, said = _shared(order), dict[str, Any]()
    if shared != _USUAL:
        said.update(zip(_SAME_NAME, shared, strict=True))
    metadata = definition.default_metadata | order.metadata
    said |= {"tags": definition.tags | order.tags, "metadata": metadata}
    key = dependency_key(metadata, order.payload)
    if key is not None:
        said["dependency_key"] = key
    if order.priority is not None:
        said["priority"] = order.priority
    if order.timeout_secs_override:
        said["timeout_s"] = float(order.timeout_secs_override)
    if order.concurrency_key is not None:
        said["limits"] = limits(definition, job.job_id, project, order.concurrency_key)
    return said


_NONE = Overrides()


def _overridden(job: Job, order: Order) -> RetryPolicy | None:
    """Return the retry policy that an order asks for; None where it asks for none. Raises `InvalidRequest`."""
    overrides = Overrides(
        max_attempts_override=order.max_attempts_override,
        retry_backoff=order.retry_backoff,
        retry_initial_delay_secs=order.retry_initial_delay_secs,
        retry_max_delay_secs=order.retry_max_delay_secs,
    )
    if overrides == _NONE:
        return None
    problems = override_problems(job.definition, overrides)
    if problems:
        raise InvalidRequest(fields=problems)
    return retry_policy(job.definition, overrides)


def _expiry(ttl_s: float | None, scheduled_at: int | None, now: int) -> int | None:
    return None if ttl_s is None else max(scheduled_at or now, now) + int(ttl_s * SECOND_US)


def _dedup(job: Job, order: Order, encoded: bytes) -> IdempotencyKey | None:
    """Return the key that triggers with an equal payload share for a while."""
    window_s = job.definition.dedup_window_secs
    if window_s is None or order.triggered_by != "manual" or order.replay_of is not None:
        return None
    digest = sha256(encoded).hexdigest()
    return IdempotencyKey(f"{job.project_id}/jobs.dedup/{job.job_id}", digest, digest, window_s * SECOND_US)


def _idempotency(job: Job, order: Order) -> IdempotencyKey | None:
    if order.idempotency_key is None:
        return None
    asked = msgspec.structs.replace(order, idempotency_key=None, batch_id=None)
    scope = _scope(job.project_id, job.job_id, order.replay_of, _asker(order))
    return IdempotencyKey(scope, order.idempotency_key, sha256(_canonical(asked)).hexdigest())


def key_of(spec: Spec) -> tuple[str, str] | None:
    """Return the scope and the name of the idempotency key that a run was made with; None for one without."""
    if spec.idempotency_key is None:
        return None
    if spec.workflow is not None:
        return workflow_scope(spec.project_id, spec.workflow.workflow_id, spec.replay_of), spec.idempotency_key
    return _scope(spec.project_id, spec.job_id or "", spec.replay_of, _asker(spec)), spec.idempotency_key


def _asker(made: Order | Spec) -> str | None:
    """Return the run whose code asked for another."""
    return made.parent_run_id or made.continuation_of if made.triggered_by == "spawn" else None


def _scope(project_id: str, job_id: str, replay_of: str | None, asker: str | None) -> str:
    operation = f"jobs.trigger/{job_id}" if replay_of is None else f"runs.replay/{replay_of}"
    return f"{project_id}/{operation if asker is None else f'runs.spawn/{asker}/{job_id}'}"


def workflow_scope(project_id: str, workflow_id: str, replay_of: str | None) -> str:
    """Return what the idempotency keys of a workflow's runs are unique within."""
    return f"{project_id}/{f'workflows.trigger/{workflow_id}' if replay_of is None else f'runs.replay/{replay_of}'}"
