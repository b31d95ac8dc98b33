"""Statements of erasure: the data of an ended run go, its chain stays."""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, delete, null, select, update

from runwright.domain.events import Event
from runwright.store.query import Query
from runwright.store.tables import attempts, run_events, run_values, runs
from runwright.store.webhook_tables import webhook_deliveries

_of_run = run_events.c.run_id == bindparam("row")

WITH_DATA = Query(
    select(*(run_events.c[name] for name in Event.__struct_fields__))
    .where(_of_run, run_events.c.seq > bindparam("after"), run_events.c.data.is_not(None))
    .order_by(run_events.c.seq)
    .limit(bindparam("limit", type_=Integer))
)
SET_EVENT = Query(
    update(run_events)
    .where(_of_run, run_events.c.seq == bindparam("row_seq"))
    .values({name: bindparam(name) for name in ("level", "message", "data", "salt", "lease_epoch")})
)
OPENING = Query(
    select(runs.c.opening, runs.c.seq, runs.c.hash, runs.c.erased_at)
    .where(runs.c.run_id == bindparam("row"))
    .with_for_update()
)
ERASE_RUN = Query(
    update(runs)
    .where(runs.c.run_id == bindparam("row"))
    .values(
        opening=bindparam("opening"),
        genesis=bindparam("genesis"),
        erased_at=bindparam("erased_at"),
        payload=null(),
        result=null(),
        error=null(),
        tally=null(),
        dependency_key=null(),
        course=null(),
    )
)
ERASE_ATTEMPTS = Query(update(attempts).where(attempts.c.run_id == bindparam("row")).values(error=null()))
ERASE_DELIVERIES = Query(
    update(webhook_deliveries).where(webhook_deliveries.c.run_id == bindparam("row")).values(error=null())
)
ARTIFACTS_OF = Query(
    select(run_values.c.artifact).where(run_values.c.run_id == bindparam("row"), run_values.c.artifact.is_not(None))
)
DELETE_VALUES = Query(delete(run_values).where(run_values.c.run_id == bindparam("row")))
