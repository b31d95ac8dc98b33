"""Make runs of threads: by a caller's word, and once more."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from runwright import ids
from runwright.agents.orders import AgentOrder, Terms
from runwright.agents.threads import Threads
from runwright.clock import Clock
from runwright.domain.accounts import Project
from runwright.domain.agent_terms import AgentTerms
from runwright.domain.commands import IdempotencyKey, Submit
from runwright.domain.job_terms import project_limit
from runwright.domain.run import AGENT, Spec
from runwright.domain.tenancy import Actor, Cause
from runwright.domain.thread import Thread
from runwright.engine.commit import Commit
from runwright.engine.reader import Reader
from runwright.engine.requests import Begin, Submitted
from runwright.engine.submit import Submitter
from runwright.engine.values import Values, encode
from runwright.errors import Conflict, NotFound
from runwright.store.base import Store
from runwright.store.queries import threads as q

_canonical = msgspec.json.Encoder(order="deterministic").encode


class AgentRuns:
    """Makes runs of threads, one at a time in each."""

    def __init__(
        self,
        store: Store,
        commit: Commit,
        submitter: Submitter,
        values: Values,
        threads: Threads,
        terms: Terms,
        clock: Clock,
        *,
        line_max: int,
    ) -> None:
        self._store = store
        self._commit = commit
        self._submitter = submitter
        self._values = values
        self._threads = threads
        self._terms = terms
        self._clock = clock
        self._line_max = line_max

    async def start(
        self,
        actor: Actor,
        project: Project,
        thread: Thread,
        order: AgentOrder,
        *,
        request_id: str | None,
        trace_id: str,
        verb: str = "runs.start",
    ) -> Submitted:
        """Make a run of a thread; its `input` is the thread's next message when its turn comes.

        Raises `NotFound` for an unknown persona or route, and `Conflict` (`runs.thread_busy`) where another run has its
        turn and the order neither waits nor interrupts.
        """
        terms = await self._terms.of(actor, project, thread, order)
        await self._values.ensure([project.project_id])
        await self._threads.check(actor, thread, order.input)
        now = self._clock.now()
        said = None
        if order.input:
            said = self._threads.sealed(project.project_id, "user", order.input, now)
        payload: dict[str, Any] = {"input": msgspec.to_builtins(order.input)} if order.input else {}
        submit = self._submit(actor, project, terms, order, payload, request_id, trace_id, now)
        key = order.idempotency_key
        if key is not None:
            digest = sha256(_canonical(order.fingerprint())).hexdigest()
            named = IdempotencyKey(f"{project.project_id}/{verb}/{thread.thread_id}", key, digest)
            submit = msgspec.structs.replace(submit, idempotency=named)
        request = Begin(
            submit=submit,
            on_busy=order.on_busy,
            message=said,
            takes_back=order.takes_back,
            line_max=self._line_max,
        )
        made: Submitted = await self._commit.apply(request)
        return made

    async def retry(
        self,
        reader: Reader,
        actor: Actor,
        project: Project,
        thread: Thread,
        order: AgentOrder,
        *,
        request_id: str | None,
        trace_id: str,
    ) -> Submitted:
        """Take the assistant's last turn back and make its run again: persona, route and model as they were then.

        Raises `Conflict`: `threads.nothing_to_retry` in a thread without messages, `runs.thread_busy`.
        """
        former = await self._former(thread)
        if former is None and order.idempotency_key is None and thread.next_message_seq == 1:
            raise Conflict("the thread has no message to answer again", code="threads.nothing_to_retry")
        if former is not None:
            order = await self._as_before(reader, former, order)
        order = msgspec.structs.replace(order, takes_back=True)
        about = {"request_id": request_id, "trace_id": trace_id, "verb": "threads.retry"}
        return await self.start(actor, project, thread, order, **about)  # type: ignore[arg-type]

    async def _former(self, thread: Thread) -> str | None:
        """Return the run that said the last message, or that was made to answer it."""
        rows = await self._store.fetch(q.LAST_SHOWN, thread_id=thread.thread_id)
        if rows and (run_id := q.message(rows[0]).run_id) is not None:
            return run_id
        newest = await self._store.fetch(q.RUNS[1], thread_id=thread.thread_id, bound="zzzz", limit=1)
        return newest[0][0] if newest and rows else None

    async def _as_before(self, reader: Reader, run_id: str, order: AgentOrder) -> AgentOrder:
        try:
            spec = (await reader.run(run_id)).run.spec
        except NotFound:  # retention took it: there is nothing left to do again as it was
            return order
        terms = spec.agent
        if terms is None:
            return order
        same_route = order.route_id in (None, terms.route_id)
        return msgspec.structs.replace(
            order,
            persona_id=order.persona_id or terms.persona_id,
            route_id=order.route_id or terms.route_id,
            model=order.model or (terms.model if same_route else None),
            budget=order.budget or terms.budget,
            metadata=order.metadata or spec.metadata,
            retry_of=run_id,
        )

    def _submit(
        self,
        actor: Actor,
        project: Project,
        terms: AgentTerms,
        order: AgentOrder,
        payload: dict[str, Any],
        request_id: str | None,
        trace_id: str,
        now: int,
    ) -> Submit:
        encoded = encode(payload)
        spec = Spec(
            run_id=ids.new_id("run", now),
            org_id=project.org_id,
            project_id=project.project_id,
            kind=AGENT,
            executor=AGENT,
            payload=self._values.ref(project.project_id, encoded),
            weight=project.weight,
            limits=project_limit(project),
            metadata=order.metadata,
            idempotency_key=order.idempotency_key,
            triggered_by="retry" if order.takes_back else "manual",
            agent=terms,
            trace_id=trace_id,
            created_at=now,
            created_by=actor.label,
            created_by_user_id=actor.user_id,
            created_by_user_name=actor.name,
            created_by_email=actor.email,
        )
        opening, spec = self._submitter.opened(spec)
        sealed = self._values.seal_payload(spec, encoded)
        return Submit(spec=spec, opening=opening, payload=sealed, cause=Cause(actor.label, None, request_id))
