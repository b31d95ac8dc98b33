"""Send a signal: wake the runs that wait for it, and start the jobs whose triggers it meets, in one transaction."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright import ids
from runwright.clock import Clock
from runwright.domain.accounts import Project
from runwright.domain.commands import IdempotencyKey, Submit
from runwright.domain.job import Job
from runwright.domain.signal import EventTrigger, Signal, filled
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.commit import Commit
from runwright.engine.meeting import BEYOND
from runwright.engine.orders import Order
from runwright.engine.reader import containing
from runwright.engine.requests import Send, Sent
from runwright.engine.submit import Submitter
from runwright.engine.values import Values, encode
from runwright.errors import Conflict, InvalidRequest, TooLarge
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import key_for
from runwright.store.queries import signals as q

SENDING = (Conflict, InvalidRequest, TooLarge)
"""What a job may refuse a run with, which is no fault of the signal's."""


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sends: to the runs and triggers of one key, or `by_prefix` to those of all keys that begin so."""

    event_key: str
    payload: dict[str, Any] = {}
    by_prefix: bool = False
    idempotency_key: str | None = None
    request_id: str | None = None
    trace_id: str


class Refused(msgspec.Struct, frozen=True):
    """A job that would have been started, and why it was not."""

    job: str
    code: str
    error: str


class Signals:
    """Sends signals of a project. At most `most` jobs are started by one."""

    def __init__(
        self, store: Store, commit: Commit, values: Values, submitter: Submitter, clock: Clock, *, most: int
    ) -> None:
        self._store = store
        self._commit = commit
        self._values = values
        self._submitter = submitter
        self._clock = clock
        self._most = most

    async def send(self, actor: Actor, project: Project, sending: Sending) -> tuple[Sent, list[Refused]]:
        """Send a signal; what it does is durable, all of it, when this returns.

        A job that refuses the run (its payload is none of the job's, say) is told, and holds up nothing. Raises
        `QuotaExceeded` when too many signals of the key are kept, `TooLarge`, and `IdempotencyMismatch`.
        """
        await self._values.ensure([project.project_id])
        now = self._clock.now()
        signal_id = ids.new_id("sig", now)
        sealed = self._values.seal(project.project_id, signal_id, "payload", encode(sending.payload))
        signal = Signal(signal_id, project.project_id, sending.event_key, sealed, now, sending.by_prefix)
        submits: list[Submit] = []
        refused: list[Refused] = []
        for job, trigger in await self._started(project, sending):
            try:
                submits.append(self._submit(actor, project, job, trigger, sending))
            except SENDING as refusal:
                refused.append(Refused(job.slug, refusal.code, refusal.detail))
        request = Send(
            signal=signal,
            cause=Cause(actor.label, None, sending.request_id),
            submits=tuple(submits),
            idempotency=_key(project, sending),
        )
        sent: Sent = await self._commit.apply(request)
        return sent, refused

    async def _started(self, project: Project, sending: Sending) -> list[tuple[Job, EventTrigger]]:
        """Return the jobs that the signal starts, each with the first of its triggers that is met."""
        asked: dict[str, Any] = {"project_id": project.project_id, "event_key": sending.event_key, "limit": self._most}
        if sending.by_prefix:
            rows = await self._store.fetch(q.STARTED_BY_PREFIX, **asked, beyond=sending.event_key + BEYOND)
        else:
            rows = await self._store.fetch(q.STARTED, **asked)
        found = []
        for job in map(q.started, rows):
            met = [
                trigger
                for trigger in job.definition.event_triggers
                if trigger.takes(sending.event_key, by_prefix=sending.by_prefix)
                and containing(sending.payload, trigger.filter)
            ]
            if met and job.definition.enabled:
                found.append((job, met[0]))
        return found

    def _submit(self, actor: Actor, project: Project, job: Job, trigger: EventTrigger, sending: Sending) -> Submit:
        about = {"event": {"key": sending.event_key}, "payload": sending.payload}
        template = trigger.payload_template
        order = Order(
            payload=sending.payload if template is None else filled(template, about),
            triggered_by="event",
        )
        return self._submitter.command(
            actor, project, job, order, request_id=sending.request_id, trace_id=sending.trace_id
        )


async def follow(tx: Transaction, old: Job | None, new: Job) -> None:
    """Let the triggers that signals are looked up by be those that a job which was made or changed says."""
    before = () if old is None else old.definition.event_triggers
    after = new.definition.event_triggers
    if before == after:
        return
    if before:
        await tx.fetch(q.DELETE_TRIGGERS, job_id=new.job_id)
    for by_prefix, pattern in sorted({(trigger.key is None, trigger.pattern) for trigger in after}):
        await tx.fetch(
            q.INSERT_TRIGGER, project_id=new.project_id, by_prefix=int(by_prefix), pattern=pattern, job_id=new.job_id
        )


async def forget(tx: Transaction, job: Job) -> None:
    """Remove the triggers of a job that is deleted."""
    if job.definition.event_triggers:
        await tx.fetch(q.DELETE_TRIGGERS, job_id=job.job_id)


def _key(project: Project, sending: Sending) -> IdempotencyKey | None:
    verb = f"events.send/{'prefix/' if sending.by_prefix else ''}{sending.event_key}"
    return key_for(project.project_id, verb, sending.idempotency_key, sending.payload)
