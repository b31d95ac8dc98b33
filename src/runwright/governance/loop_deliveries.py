"""Deliver what loops repaired as their orders say: asked for once, by the end of the loop itself.

A loop that ends leaves the errand `deliver` in the very transaction that ends it. Whoever does it makes the delivery in
the name of who made the loop, so that they are not those who allow it; whoever does it again finds it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from runwright.domain.accounts import Project
from runwright.domain.delivery_terms import DeliveryTerms
from runwright.domain.delivery_wanted import LoopDelivery
from runwright.domain.run import Run, Spec
from runwright.domain.tenancy import Actor
from runwright.engine.engine import Engine
from runwright.engine.reader import Reader
from runwright.errors import Error, InvalidRequest, NotFound
from runwright.governance.deliveries import Asked, Deliveries, ProjectOf
from runwright.governance.delivery_items import Item, item_of, outcome_of
from runwright.governance.delivery_order import Problem, refused, terms_of
from runwright.store.queries.auth import PROJECT, project

DeliveryState = Literal["pending", "not_due", "under_way", "awaiting_approval", "succeeded", "denied", "failed"]
"""`pending`: the loop goes on; `not_due`: it did not end as the order says, or has nothing to deliver."""


class Standing(NamedTuple):
    """How the delivery of a loop stands; `item` is what a call that delivers would answer, `run` the one that does."""

    deliver: LoopDelivery
    state: DeliveryState
    item: Item | None = None
    error: Problem | None = None
    run: Run | None = None


class LoopDeliveries:
    """Delivers loops whose orders say so."""

    def __init__(self, engine: Engine, deliveries: Deliveries) -> None:
        self._engine = engine
        self._deliveries = deliveries

    async def begin(self, run_id: str, body: bytes) -> None:
        """Do the errand: begin the delivery of a loop that has ended, unless one was begun, or none is due.

        Where it cannot be begun as its order says, however often that is tried, one is begun that tells why, and fails.
        """
        record = await self._engine.store.record(run_id)
        if record is None or not record.has_data:
            return
        run, actor = record.run, _maker(record.run.spec)
        terms = due(run)
        if not isinstance(terms, DeliveryTerms):
            return
        if await self._deliveries.find(self._engine.reader(actor), terms) is not None:
            return
        asked = Asked(actor, self._project_of(actor), None, run.spec.trace_id)
        try:
            await self._deliveries.make(asked, run, terms)
        except Error as refusal:
            if refusal.retryable:
                raise
            await self._deliveries.make(asked, run, terms, unable=f"it could not be begun: {refusal.detail}")

    def _project_of(self, actor: Actor) -> ProjectOf:
        async def found(ident: str) -> Project:
            rows = await self._engine.store.fetch(PROJECT, org_id=actor.org_id, project_id=ident)
            if not rows:
                raise NotFound("project", ident)
            return project(rows[0])

        return found

    async def standing(self, reader: Reader, run: Run) -> Standing | None:
        """Return how the delivery of a loop stands; None for one whose order says nothing of it."""
        runtime = run.spec.runtime
        deliver = None if runtime is None or runtime.loop is None else runtime.loop.deliver
        if deliver is None:
            return None
        if not run.terminal:
            return Standing(deliver, "pending")
        terms = due(run)
        if not isinstance(terms, DeliveryTerms):
            return Standing(deliver, "not_due", error=terms)
        found = await self._deliveries.find(reader, terms)
        if found is None:
            return Standing(deliver, "under_way")
        outcome, item = outcome_of(found), item_of(found, terms)
        state: DeliveryState = "awaiting_approval" if found.state == "waiting" else outcome
        return Standing(deliver, state, item, item.error, found)


def due(run: Run) -> DeliveryTerms | Problem | None:
    """Return the terms by which a loop that has ended is delivered, or why it is not; None: it ended otherwise."""
    runtime, course = run.spec.runtime, run.course
    deliver = None if runtime is None or runtime.loop is None else runtime.loop.deliver
    if deliver is None or course is None or run.state != "completed":
        return None
    if deliver.when == "clean" and (course.loop is None or course.loop.exit_reason != "clean"):
        return None
    problem = refused(run)
    if problem is not None:
        return problem
    try:
        return terms_of(run, deliver.wanted)
    except InvalidRequest as why:
        return Problem("TOOL_FAILED", why.detail)


def _maker(spec: Spec) -> Actor:
    """Return who made a loop, as far as its specification tells."""
    kind, _, ident = spec.created_by.partition(":")
    return Actor(
        kind=kind,
        id=ident,
        org_id=spec.org_id,
        project_id=spec.project_id,
        name=spec.created_by_user_name,
        email=spec.created_by_email,
    )
