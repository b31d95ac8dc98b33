"""Deliver runs: make a run of the kind `delivery` for each, wait until it ends or asks people, tell what came of it.

A delivery is known by what it is: the tree, onto what, and what is done with it. A call that was made before finds it,
whoever makes it: what has come about is told, what people are asked is asked once, and what failed is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from runwright.domain.accounts import Project
from runwright.domain.commands import IdempotencyKey
from runwright.domain.delivery_terms import DeliveryTerms, identity, unbegun
from runwright.domain.delivery_wanted import Wanted, require_opened, require_wanted
from runwright.domain.run import DELIVERY, Run
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.domain.tenancy import Actor
from runwright.engine.engine import Engine
from runwright.engine.reader import Filter, Reader
from runwright.engine.stream import Cut, Lagged
from runwright.errors import InvalidRequest, NotFound, Overloaded
from runwright.forges.port import BUSY_S, Refused
from runwright.forges.registered import Forges
from runwright.governance.delivery_items import Batch, Item, failed, item_of, outcome_of, planned, skipped
from runwright.governance.delivery_order import DeliveryOrder, Problem, refused, terms_of, wanted_of
from runwright.governance.submission import Kind, Origin, submission

QUEUE = "delivery"
LOOKED_AT = 1
ProjectOf = Callable[[str], Awaitable[Project]]
_canonical = msgspec.json.Encoder(order="deterministic").encode


class Asked(msgspec.Struct, frozen=True):
    """Who asks, and by which request."""

    actor: Actor
    project: ProjectOf
    request_id: str | None
    trace_id: str


class Deliveries:
    """Delivers runs."""

    def __init__(self, engine: Engine, forges: Forges) -> None:
        self._engine = engine
        self._forges = forges

    async def deliver(self, asked: Asked, order: DeliveryOrder) -> Batch:
        """Deliver runs, in the order in which they are named.

        Raises `InvalidRequest` for an order that nobody could carry out, and `Overloaded` where all failed because the
        forge does not answer.
        """
        self._require_runs([run_id for run_id, _ in order.runs])
        order = replace(order, runs=tuple((run_id, wanted and require_wanted(wanted)) for run_id, wanted in order.runs))
        require_opened([wanted for _, wanted in order.runs if wanted is not None], "pr")
        items = await (self._in_turn(asked, order) if order.on_error == "fail_fast" else self._at_once(asked, order))
        away = [item.error for item in items if item.error is not None and item.error.code == "FORGE_ERROR"]
        if len(away) == len(items) and all(error.retryable for error in away):
            wait_s = max(error.retry_after_s or BUSY_S for error in away)
            raise Overloaded(away[0].message, code="forge.unavailable", retry_after_s=wait_s)
        return Batch(f"dlb_{sha256(_canonical(order)).hexdigest()[:32]}", order.on_error, order.dry_run, tuple(items))

    def _require_runs(self, run_ids: list[str]) -> None:
        most = self._engine.settings.delivery_runs_max
        if not run_ids:
            raise InvalidRequest.at("run_ids", "name at least one run", code="run_ids.empty")
        if len(run_ids) > most:
            message = f"name at most {most} runs (RUNWRIGHT_DELIVERY_RUNS_MAX)"
            raise InvalidRequest.at("run_ids", message, code="run_ids.too_many")
        if len(set(run_ids)) < len(run_ids):
            raise InvalidRequest.at("run_ids", "names a run twice", code="run_ids.duplicate")

    async def _in_turn(self, asked: Asked, order: DeliveryOrder) -> list[Item]:
        items: list[Item] = []
        for run_id, wanted in order.runs:
            if any(item.error is not None for item in items):
                items.append(skipped(run_id, wanted or Wanted()))
                continue
            items.append(await self._one(asked, order, run_id, wanted))
        return items

    async def _at_once(self, asked: Asked, order: DeliveryOrder) -> list[Item]:
        tasks = [asyncio.create_task(self._one(asked, order, *each), name="deliver") for each in order.runs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _one(self, asked: Asked, order: DeliveryOrder, run_id: str, wanted: Wanted | None) -> Item:
        reader = self._engine.reader(asked.actor)
        try:
            run = (await reader.run(run_id)).run
        except NotFound:
            return failed(run_id, wanted or Wanted(), Problem("RUN_NOT_FOUND", f"there is no run {run_id}"))
        wanted = wanted or wanted_of(run)
        repo = None if run.spec.runtime is None else run.spec.runtime.repo
        problem = refused(run) or (None if repo is None else self.unreachable(repo, wanted))
        if problem is not None:
            return failed(run_id, wanted, problem)
        try:
            terms = terms_of(run, wanted)
        except InvalidRequest as why:
            return failed(run_id, wanted, Problem("TOOL_FAILED", why.detail))
        if order.dry_run:
            return planned(terms)
        delivery_id = await self._begun(asked, reader, run, terms, ask_again=order.ask_again)
        return item_of(await self._settled(reader, delivery_id), terms)

    def unreachable(self, repo: str, wanted: Wanted) -> Problem | None:
        """Return why nothing is pushed to a repository, where it is to be; None where it can be."""
        if "push" not in wanted.actions:
            return None
        try:
            self._forges.record(repo)
        except Refused as why:
            return Problem(why.code, str(why), why.retryable)
        return None

    async def _begun(self, asked: Asked, reader: Reader, run: Run, terms: DeliveryTerms, *, ask_again: bool) -> str:
        """Return the delivery of a run: the one that there is, unless it failed, or a new one."""
        former = await self.find(reader, terms)
        if former is not None:
            outcome = outcome_of(former)
            if outcome in ("under_way", "succeeded") or (outcome == "denied" and not ask_again):
                return former.run_id
            if outcome == "failed":
                terms = _allowed(terms, former)
        return await self.make(asked, run, terms, former)

    async def find(self, reader: Reader, terms: DeliveryTerms) -> Run | None:
        """Return the delivery that was begun last of all that are the same."""
        listed = await reader.runs(Filter(where={"batch_id": _name(terms)}), bound=None, limit=LOOKED_AT)
        return listed.records[0].run if listed.records else None

    async def make(
        self,
        asked: Asked,
        run: Run,
        terms: DeliveryTerms,
        former: Run | None = None,
        unable: str | None = None,
    ) -> str:
        """Begin to deliver a run, in place of a former delivery; return the run that does. Made again, it finds it.

        `unable`: why that is not possible, which is all that this one tells then.
        """
        engine, was, name = self._engine, run.spec.runtime, _name(terms)
        assert was is not None
        project = await asked.project(run.spec.project_id)
        runtime = RuntimeTerms(
            mode=was.mode,
            runtime_profile=was.runtime_profile,
            repo=was.repo,
            ref=was.ref,
            delivery=terms if unable is None else unbegun(terms, unable),
        )
        key = f"{name}/{'' if former is None else former.run_id}"
        submit = await submission(
            engine,
            Origin(actor=asked.actor, project=project, request_id=asked.request_id, trace_id=asked.trace_id),
            Kind(kind=DELIVERY, executor=DELIVERY, queue=QUEUE),
            runtime,
            {"run_id": run.run_id},
            idempotency=IdempotencyKey(f"{project.project_id}/runtime.deliver", key, name),
            batch_id=name,
            triggered_by_run_id=run.run_id,
        )
        return str((await engine.commit.apply(submit)).run_id)

    async def _settled(self, reader: Reader, run_id: str) -> Run:
        """Return a delivery once it has ended, waits for people, or has taken as long as a call waits."""
        run = (await reader.run(run_id)).run
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._engine.settings.delivery_wait_s):
                while not run.terminal and run.state not in ("waiting", "paused"):
                    await self._moved(run)
                    run = (await reader.run(run_id)).run
        return run

    async def _moved(self, run: Run) -> None:
        with contextlib.suppress(Lagged, Cut):
            async for _ in self._engine.hub.events(run.run_id, run.seq, live=True):
                return


def _name(terms: DeliveryTerms) -> str:
    return f"dlv_{identity(terms)}"


def _allowed(terms: DeliveryTerms, former: Run) -> DeliveryTerms:
    """Return terms with what people approved of a delivery that failed, and the commit that they were shown."""
    course, runtime = former.course, former.spec.runtime
    given = [] if course is None else [ident for ident, word in course.decided.items() if word == "approved"]
    prepared = None if course is None or course.delivery is None else course.delivery.prepared
    if given and prepared is not None:
        return replace(terms, allowed_by=given[0], allowed_commit=prepared.commit_sha)
    was = None if runtime is None else runtime.delivery
    return terms if was is None else replace(terms, allowed_by=was.allowed_by, allowed_commit=was.allowed_commit)
