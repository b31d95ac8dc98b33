"""What people say to runs: answers to what is asked, and words by the way; and the list of what is asked."""

from __future__ import annotations

import msgspec

from runwright.domain.accounts import Project
from runwright.domain.agent_events import WaitingForInput
from runwright.domain.answering import elsewhere
from runwright.domain.commands import Answer, Delivery, IdempotencyKey
from runwright.domain.decision import meaning, require_content
from runwright.domain.question import Mode
from runwright.domain.run import Run
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.commit import Commit
from runwright.engine.reader import Reader
from runwright.engine.redactors import Redactors
from runwright.engine.schema import require_valid
from runwright.engine.values import INPUT, Values, encode
from runwright.errors import InvalidTransition
from runwright.store.base import Row, Store
from runwright.store.idempotent import key_for
from runwright.store.queries import threads as q
from runwright.store.queries.shapes import Slice, read

_asked = msgspec.json.Decoder(WaitingForInput).decode


class Pending(msgspec.Struct, frozen=True):
    """Something that a run asks, and waits for."""

    run_id: str
    project_id: str
    thread_id: str
    asked: WaitingForInput
    created_at: int


class Inputs:
    """Says things to runs."""

    def __init__(self, store: Store, commit: Commit, values: Values, redactors: Redactors) -> None:
        self._store = store
        self._commit = commit
        self._values = values
        self._redactors = redactors

    async def say(
        self,
        reader: Reader,
        actor: Actor,
        run_id: str,
        content: str,
        *,
        mode: Mode,
        request_id: str | None,
        idempotency_key: str | None,
        asked_by: str | None,
    ) -> Run:
        """Answer what a run asks (`request_id` says which request is meant), or steer it.

        Raises `InvalidRequest` for what is no answer to it, and the run goes on waiting; `Conflict`:
        `runs.not_waiting`, `runs.not_active`, and `runs.approval_required` for what is decided elsewhere.
        """
        require_content(content)
        run = (await reader.run(run_id)).run
        spec = run.spec
        request = [content, mode, request_id]
        key = key_for(spec.project_id, f"runs.input/{run_id}", idempotency_key, request)
        redacted = self._redactors.of(spec.project_id).text(content)
        cause = Cause(actor.label, None, asked_by)
        command = Answer(run_id=run_id, mode=mode, content=redacted, cause=cause, idempotency=key)
        if mode == "answer":
            command = await self._answer(run, command, content, request_id, key)
        heard: Run = await self._commit.apply(command)
        return heard

    async def _answer(
        self, run: Run, command: Answer, content: str, request_id: str | None, key: IdempotencyKey | None
    ) -> Answer:
        if run.wait is not None and run.wait.on == "approval":
            raise elsewhere(run)
        pending = await self._of(run)
        if pending is None or request_id not in (None, pending.asked.request_id):
            if key is not None or run.terminal:  # the commit knows whether this very answer was heard before
                return msgspec.structs.replace(command, request_id=request_id or "")
            raise InvalidTransition(
                "the run does not wait for this answer: nothing was asked, or it was answered", code="runs.not_waiting"
            )
        asked = pending.asked
        value = meaning(asked.kind, asked.schema, content)
        if asked.kind == "question" and asked.schema is not None:
            require_valid(value, asked.schema)
        spec, name = run.spec, asked.request_id
        encoded = encode(value)
        sealed = self._values.seal(spec.project_id, spec.run_id, f"{INPUT}/{name}", encoded)
        delivery = Delivery(name, self._values.ref(spec.project_id, encoded), sealed)
        return msgspec.structs.replace(command, request_id=name, delivery=delivery)

    async def _of(self, run: Run) -> Pending | None:
        rows = await self._store.fetch(q.PENDING, run_id=run.run_id)
        return _pending(rows[0]) if rows else None

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[Pending]:
        """Return what is asked in a project, or in all that the caller may see."""
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None:
            rows = await read(own, q.INPUTS_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.INPUTS, part, org_id=actor.org_id)
        return [_pending(row) for row in rows]


def _pending(row: Row) -> Pending:
    run_id, project_id, thread_id, _, asked, created_at = row
    return Pending(run_id, project_id, thread_id, _asked(asked), created_at)
