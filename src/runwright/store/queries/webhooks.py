"""Statements of webhook subscriptions and deliveries."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Integer, bindparam, delete, func, insert, null, select, update

from runwright.domain.webhooks import Delivery, Subscription
from runwright.store.base import Row
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.webhook_tables import webhook_deliveries as deliveries
from runwright.store.webhook_tables import webhook_subscriptions as subscriptions

_this = subscriptions.c.subscription_id == bindparam("subscription_id")
_of_org = subscriptions.c.org_id == bindparam("org_id")
_of_project = subscriptions.c.project_id == bindparam("project_id")

INSERT_SUBSCRIPTION = inserting(subscriptions)
SET_SUBSCRIPTION = setting(
    subscriptions,
    "subscription_id",
    "url",
    "event_types",
    "description",
    "enabled",
    "updated_at",
    "failing_since",
    "disabled_at",
    "disabled_reason",
)
DELETE_SUBSCRIPTION = Query(delete(subscriptions).where(_this))
SUBSCRIPTION = Query(rows(subscriptions, Subscription, _this))
SUBSCRIPTIONS = paging(rows(subscriptions, Subscription, _of_org), subscriptions.c.subscription_id)
SUBSCRIPTIONS_OF_PROJECT = paging(
    rows(subscriptions, Subscription, _of_org, _of_project), subscriptions.c.subscription_id
)
COUNT = Query(select(func.count()).select_from(subscriptions).where(_of_project))
ENABLED = Query(rows(subscriptions, Subscription, subscriptions.c.enabled))

# Who looks at many deliveries of one address at once marks it once: the first failure stands.
_row = subscriptions.c.subscription_id == bindparam("row")
FAILING = Query(
    update(subscriptions)
    .where(_row)
    .values(failing_since=func.coalesce(subscriptions.c.failing_since, bindparam("at")))
    .returning(subscriptions.c.failing_since)
)
WORKING = Query(
    update(subscriptions).where(_row, subscriptions.c.failing_since.is_not(None)).values(failing_since=None)
)

_delivery = deliveries.c.delivery_id == bindparam("delivery_id")
_pending = deliveries.c.next_attempt_at.is_not(None)

DELIVERY = Query(rows(deliveries, Delivery, _delivery))
LOCK_DELIVERY = Query(rows(deliveries, Delivery, _delivery).with_for_update())
PROGRESS = (
    "outcome",
    "attempt",
    "round_from",
    "response_status",
    "error",
    "next_attempt_at",
    "last_attempt_at",
    "ended_at",
)
"""The columns of a delivery that change."""
SET_DELIVERY = setting(deliveries, "delivery_id", *PROGRESS)
DELIVERIES = paging(rows(deliveries, Delivery, deliveries.c.org_id == bindparam("org_id")), deliveries.c.delivery_id)
DELIVERIES_OF_PROJECT = paging(
    rows(deliveries, Delivery, deliveries.c.project_id == bindparam("project_id")), deliveries.c.delivery_id
)
DELIVERIES_OF_RUN = paging(
    rows(deliveries, Delivery, deliveries.c.run_id == bindparam("run_id")), deliveries.c.delivery_id
)

# The addresses that something waits for, one after the other: each is one step down the index, however much waits.
NEXT_SOURCE = Query(select(func.min(deliveries.c.source)).where(_pending, deliveries.c.source > bindparam("after")))
# Those that another server is just claiming are its own: the row locks decide who sends a delivery this time.
DUE = Query(
    rows(
        deliveries,
        Delivery,
        deliveries.c.source == bindparam("source"),
        deliveries.c.next_attempt_at <= bindparam("at"),
    )
    .order_by(deliveries.c.next_attempt_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
FIRST_DUE = Query(
    select(func.min(deliveries.c.next_attempt_at)).where(_pending, deliveries.c.source == bindparam("source"))
)
OLDEST_PENDING = Query(select(func.min(deliveries.c.delivery_id)).where(_pending))
END_OF_SOURCE = Query(
    update(deliveries)
    .where(deliveries.c.source == bindparam("row"), _pending)
    .values(outcome="failed", error=bindparam("error"), next_attempt_at=null(), ended_at=bindparam("ended_at"))
)
FORGET = Query(
    delete(deliveries).where(
        deliveries.c.delivery_id.in_(
            select(deliveries.c.delivery_id)
            .where(deliveries.c.delivery_id < bindparam("before"), deliveries.c.next_attempt_at.is_(None))
            .order_by(deliveries.c.delivery_id)
            .limit(bindparam("limit", type_=Integer))
        )
    )
)

TOGETHER = 50
"""Most deliveries that one statement makes."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, ...]).decode


@lru_cache(maxsize=TOGETHER)
def insertion(count: int) -> Query:
    """Return the insertion of so many deliveries; the parameters of each end in its number."""
    names = [column.name for column in deliveries.columns]
    return Query(
        insert(deliveries).values([{name: bindparam(f"{name}_{number}") for name in names} for number in range(count)])
    )


def parameters(made: list[Delivery]) -> dict[str, Any]:
    """Return the parameters of `insertion`."""
    return {
        f"{name}_{number}": getattr(each, name)
        for number, each in enumerate(made)
        for name in Delivery.__struct_fields__
    }


def row(kept: Subscription) -> dict[str, Any]:
    """Return the columns of a subscription."""
    return msgspec.structs.asdict(kept) | {"event_types": _encode(kept.event_types)}


def subscription(found: Row) -> Subscription:
    """Return the subscription of a row."""
    named = dict(zip(Subscription.__struct_fields__, found, strict=True))
    # SQLite knows no booleans.
    return Subscription(**named | {"event_types": _decode(named["event_types"]), "enabled": bool(named["enabled"])})


def delivery(found: Row) -> Delivery:
    """Return the delivery of a row."""
    return Delivery(**dict(zip(Delivery.__struct_fields__, found, strict=True)))
