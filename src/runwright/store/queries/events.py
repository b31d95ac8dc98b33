"""Statements about the records of runs: one type of a run's events, and the last checkpoint."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, bindparam, cast, func, select

from runwright.domain.events import Event
from runwright.store.base import Row
from runwright.store.queries.shapes import rows
from runwright.store.query import Query
from runwright.store.tables import run_events, run_values

_limit = bindparam("limit", type_=Integer)
_of_type = rows(
    run_events,
    Event,
    run_events.c.run_id == bindparam("run_id"),
    run_events.c.type == bindparam("type"),
    run_events.c.data.is_not(None),  # what was erased tells nothing
    run_events.c.seq > bindparam("after_seq", type_=BigInteger),
    run_events.c.seq < bindparam("before_seq", type_=BigInteger),
    run_events.c.created_at > bindparam("after", type_=BigInteger),
    run_events.c.created_at < bindparam("before", type_=BigInteger),
)

# A caller may name any seq, larger ones than a log can have too.
# A run's log is one range of the primary key: the walk over it looks at the type alone and reads no data of others.
OF_TYPE = (
    Query(_of_type.order_by(run_events.c.seq.asc()).limit(_limit)),
    Query(_of_type.order_by(run_events.c.seq.desc()).limit(_limit)),
)
"""The events of one type between two seqs and two instants (µs), all exclusive: oldest first, newest first."""

OF_TERMINAL = Query(
    rows(
        run_events,
        Event,
        run_events.c.run_id == bindparam("run_id"),
        run_events.c.type >= "terminal.",
        run_events.c.type < "terminal/",  # the character after the dot
        run_events.c.data.is_not(None),
        run_events.c.seq > bindparam("after_seq", type_=BigInteger),
    )
    .order_by(run_events.c.seq.asc())
    .limit(_limit)
)
"""The events of a run's terminal, oldest first."""

LINK = Query(
    select(run_events.c.hash).where(
        run_events.c.run_id == bindparam("run_id"), run_events.c.seq == bindparam("seq", type_=Integer)
    )
)
"""The link of the chain at a seq: no two transactions write the same one."""

LAST_CHECKPOINT = Query(
    select(func.max(cast(run_values.c.key, Integer))).where(
        run_values.c.run_id == bindparam("run_id"), run_values.c.kind == "checkpoint"
    )
)


def event_of(row: Row) -> Event:
    """Return the event of a row."""
    return Event(*row)
