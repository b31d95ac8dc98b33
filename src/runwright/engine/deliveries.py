"""Make the deliveries of webhooks out of what the commit recorded, and read, repeat and try them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from runwright import ids
from runwright.clock import Clock
from runwright.domain.rollups import Moves
from runwright.domain.tenancy import Actor
from runwright.domain.webhooks import PING, Delivery, Subscription
from runwright.errors import Conflict, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.queries import webhooks as q
from runwright.store.queries.shapes import Pages, Slice, read


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of deliveries is filtered by; None does not filter."""

    project_id: str | None = None
    source: str | None = None
    run_id: str | None = None
    event_type: str | None = None
    outcome: str | None = None

    def matches(self, delivery: Delivery) -> bool:
        """Tell whether a delivery is one of those."""
        return all(
            wanted is None or getattr(delivery, name) == wanted
            for name, wanted in zip(self.__struct_fields__, msgspec.structs.astuple(self), strict=True)
        )


class Found(msgspec.Struct, frozen=True):
    """Deliveries of a page; `scanned_to` is where the scan budget ended it, None if it did not."""

    deliveries: list[Delivery]
    scanned_to: str | None = None


class Deliveries:
    """Keeps the log of deliveries; `wake` is called when there is something to send."""

    def __init__(self, store: Store, clock: Clock, wake: Callable[[], None], *, scan_budget: int, page: int) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._scan_budget = scan_budget
        self._page = page

    async def fan_out(self, tx: Transaction, records: Sequence[Moves]) -> None:
        """Make the deliveries that records of the commit ask for, in the transaction that settles these.

        Who subscribes is read here, after the runs' own transactions: a subscription that was committed before a run
        ended is always found, whatever a server knew of it when the run ended there.
        """
        if not any(record.ends or record.steps for record in records):
            return
        subscribed: dict[str, list[Subscription]] = {}
        for row in await tx.fetch(q.ENABLED):
            found = q.subscription(row)
            subscribed.setdefault(found.project_id, []).append(found)
        made: list[Delivery] = []
        for record in records:
            for end in record.ends:
                sources = _sources(subscribed, end.project_id, f"run.{end.state}") if end.seq else []
                sources += [end.job_id] if end.hooked and end.job_id is not None else []
                made += [
                    _delivery(tx.now, end.org_id, end.project_id, source, f"run.{end.state}", end.run_id, end.seq)
                    for source in sources
                ]
            for step in record.steps:
                made += [
                    msgspec.structs.replace(
                        _delivery(tx.now, step.org_id, step.project_id, source, step.type, step.run_id, step.seq),
                        run_status=step.status,
                        run_attempt=step.attempt,
                    )
                    for source in _sources(subscribed, step.project_id, step.type)
                ]
        for first in range(0, len(made), q.TOGETHER):
            part = made[first : first + q.TOGETHER]
            await tx.fetch(q.insertion(len(part)), **q.parameters(part))

    async def ping(self, subscription: Subscription) -> Delivery:
        """Send a message that only shows that messages arrive, and return its delivery."""

        async def work(tx: Transaction) -> Delivery:
            made = _delivery(
                tx.now, subscription.org_id, subscription.project_id, subscription.subscription_id, PING, None, 0
            )
            made = msgspec.structs.replace(made, event_id=made.delivery_id)
            await tx.fetch(q.insertion(1), **q.parameters([made]))
            return made

        made = await self._store.write(work)
        self._wake()
        return made

    async def redeliver(self, actor: Actor, delivery_id: str) -> Delivery:
        """Send a message again, under its own id, with as many attempts as a new one. Raises `Conflict` while it waits.

        Raises `NotFound` for what is not the caller's to see.
        """
        actor.require("webhooks:write")

        async def work(tx: Transaction) -> Delivery:
            await audit.lock(tx, actor.org_id)
            found = await tx.fetch(q.LOCK_DELIVERY, delivery_id=delivery_id)
            old = _required(actor, q.delivery(found[0]) if found else None, delivery_id)
            if old.outcome == "pending":
                raise Conflict("The message is still being delivered.", data={"attempt": old.attempt})
            new = msgspec.structs.replace(
                old, outcome="pending", round_from=old.attempt, next_attempt_at=tx.now, ended_at=None
            )
            await save(tx, new)
            data = {"source": old.source}
            await audit.append(tx, old.org_id, actor.label, "webhook.redelivered", delivery_id, data)
            return new

        again = await self._store.write(work)
        self._wake()
        return again

    async def lag_s(self) -> float:
        """Return the age of the oldest message that is not delivered yet, in seconds; 0 for none."""
        oldest = (await self._store.fetch(q.OLDEST_PENDING))[0][0]
        return 0.0 if oldest is None else max(self._clock.now() - ids.time_of(oldest), 0) / 1e6

    async def get(self, actor: Actor, delivery_id: str) -> Delivery:
        """Return a delivery. Raises `NotFound` for what is not the caller's to see."""
        actor.require("webhooks:write")
        found = await self._store.within(actor.org_id).fetch(q.DELIVERY, delivery_id=delivery_id)
        return _required(actor, q.delivery(found[0]) if found else None, delivery_id)

    async def page(self, actor: Actor, wanted: Wanted, part: Slice) -> Found:
        """Return the deliveries of a part of the list that are wanted; a filter reads at most the scan budget."""
        actor.require("webhooks:write")
        pages, params = _pages(actor, wanted)
        own, found = self._store.within(actor.org_id), list[Delivery]()
        bound, left = part.bound, self._scan_budget
        while left > 0:
            limit = min(self._page, left)
            rows = await read(own, pages, Slice(limit, bound, part.newest_first), **params)
            for delivery in map(q.delivery, rows):
                bound = delivery.delivery_id
                if actor.sees(delivery.org_id, delivery.project_id) and wanted.matches(delivery):
                    found.append(delivery)
                    if len(found) == part.limit:
                        return Found(found)
            if len(rows) < limit:
                return Found(found)
            left -= limit
        return Found(found, bound)


async def save(tx: Transaction, delivery: Delivery) -> None:
    """Write how far a delivery came."""
    await tx.fetch(q.SET_DELIVERY, row=delivery.delivery_id, **{name: getattr(delivery, name) for name in q.PROGRESS})


def _pages(actor: Actor, wanted: Wanted) -> tuple[Pages, dict[str, Any]]:
    if wanted.run_id is not None:
        return q.DELIVERIES_OF_RUN, {"run_id": wanted.run_id}
    project_id = wanted.project_id or actor.project_id
    if project_id is not None:
        return q.DELIVERIES_OF_PROJECT, {"project_id": project_id}
    return q.DELIVERIES, {"org_id": actor.org_id}


def _sources(subscribed: dict[str, list[Subscription]], project_id: str, event_type: str) -> list[str]:
    return [each.subscription_id for each in subscribed.get(project_id, ()) if each.takes(event_type)]


def _delivery(
    now: int, org_id: str, project_id: str, source: str, event_type: str, run_id: str | None, seq: int
) -> Delivery:
    return Delivery(
        delivery_id=ids.new_id("whd", now),
        org_id=org_id,
        project_id=project_id,
        source=source,
        event_id=f"{run_id}.{seq}",
        event_type=event_type,
        run_id=run_id,
        seq=seq,
        created_at=now,
        next_attempt_at=now,
    )


def _required(actor: Actor, found: Delivery | None, delivery_id: str) -> Delivery:
    if found is None or not actor.sees(found.org_id, found.project_id):
        raise NotFound("delivery", delivery_id)
    return found
