"""Statements that tell where runs stand: their limits, how many are before them, who asks; counted up to 1 000."""

from __future__ import annotations

from sqlalchemy import Float, Integer, Select, bindparam, func, literal_column, select

from runwright.store.query import Query
from runwright.store.tables import held, limits, ready, runs
from runwright.store.thread_tables import pending_inputs

COUNTED = 1000

_first = (
    select(ready.c.run_id)
    .where(ready.c.lane == bindparam("lane"))
    .order_by(ready.c.rank, ready.c.run_id)
    .limit(literal_column("1", Integer))
    .scalar_subquery()
)
HEAD_SINCE = Query(select(runs.c.since_at).where(runs.c.run_id == _first))
LIMIT = Query(select(limits.c.used, limits.c.max).where(limits.c.limit_key == bindparam("limit_key")))


def _counted(before: Select[tuple[str]]) -> Query:
    found = before.limit(literal_column(str(COUNTED), Integer)).subquery()
    return Query(select(func.count()).select_from(found))


READY_BEFORE = _counted(
    select(ready.c.run_id).where(ready.c.lane == bindparam("lane"), ready.c.rank < bindparam("rank", type_=Float))
)
HELD_BEFORE = _counted(
    select(held.c.run_id).where(
        held.c.limit_key == bindparam("limit_key"), held.c.rank < bindparam("rank", type_=Float)
    )
)
ASKING = _counted(select(pending_inputs.c.run_id))
