"""Statements of rollups: what became of runs, added up, and how many are in each live state."""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, delete, select, update

from runwright.store.operation_tables import depths, rollups
from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.tables import outbox

TAKE_OUTBOX = Query(
    select(outbox.c.entry, outbox.c.topic, outbox.c.run_id, outbox.c.data)
    .where(outbox.c.topic == bindparam("topic"))
    .order_by(outbox.c.entry)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
"""The oldest entries of a topic, locked: two consumers never deal with one entry."""

_there = (
    (rollups.c.org_id == bindparam("row_org"))
    & (rollups.c.project_id == bindparam("row_project"))
    & (rollups.c.job_id == bindparam("row_job"))
    & (rollups.c.grain == bindparam("row_grain"))
)
ROLLUP = Query(select(rollups.c.data).where(_there, rollups.c.at == bindparam("row_at")).with_for_update())
INSERT_ROLLUP = inserting(rollups)
SET_ROLLUP = Query(update(rollups).where(_there, rollups.c.at == bindparam("row_at")).values(data=bindparam("data")))
ROLLUPS = Query(
    select(rollups.c.at, rollups.c.data)
    .where(_there, rollups.c.at >= bindparam("since"), rollups.c.at < bindparam("until"))
    .order_by(rollups.c.at)
)
FORGET_ROLLUPS = Query(delete(rollups).where(rollups.c.grain == bindparam("grain"), rollups.c.at < bindparam("before")))

_state = (
    (depths.c.org_id == bindparam("row_org"))
    & (depths.c.project_id == bindparam("row_project"))
    & (depths.c.state == bindparam("row_state"))
)
DEPTH = Query(select(depths.c.count).where(_state).with_for_update())
INSERT_DEPTH = inserting(depths)
SET_DEPTH = Query(update(depths).where(_state).values(count=bindparam("count")))
DEPTHS_OF_ORGANIZATION = Query(select(depths.c.state, depths.c.count).where(depths.c.org_id == bindparam("org_id")))
DEPTHS_OF_PROJECT = Query(
    select(depths.c.state, depths.c.count).where(
        depths.c.org_id == bindparam("org_id"), depths.c.project_id == bindparam("project_id")
    )
)
