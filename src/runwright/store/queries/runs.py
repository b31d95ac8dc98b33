"""Statements about runs that are not hot: lists with filters, children, forgotten keys."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, bindparam, delete, false, literal_column, or_, select

from runwright.domain.run import LIVE
from runwright.domain.words import KINDS, Shows
from runwright.store.query import Query
from runwright.store.tables import idempotency, run_heads, runs

FORGET_KEYS = Query(delete(idempotency).where(idempotency.c.created_at < bindparam("before")))

LIVE_CHILDREN = Query(
    select(runs.c.run_id)
    .join(run_heads, run_heads.c.run_id == runs.c.run_id)
    .where(runs.c.parent_run_id == bindparam("run_id"))
    .order_by(runs.c.run_id)
)

_KINDS = {surface: [literal_column(f"'{kind}'", Text) for kind in kinds] for surface, kinds in KINDS.items()}
_OTHERS = [kind for kinds in _KINDS.values() for kind in kinds]
_LIVE = frozenset(LIVE)
_UNHAPPY = frozenset({"failed", "cancelled", "expired"})
_ANY_UNHAPPY: ColumnElement[bool] = literal_column(
    "(runs.state = 'failed' OR runs.state = 'cancelled' OR runs.state = 'expired')"
)
"""As the index of SQLite says it; PostgreSQL knows that its own says the same."""

CONDITIONS: dict[str, ColumnElement[bool]] = {
    "project_id": runs.c.project_id == bindparam("project_id"),
    "job_id": runs.c.job_id == bindparam("job_id"),
    "batch_id": runs.c.batch_id == bindparam("batch_id"),
    "parent_run_id": runs.c.parent_run_id == bindparam("parent_run_id"),
    "lineage_root": or_(runs.c.lineage_root == bindparam("lineage_root"), runs.c.run_id == bindparam("lineage_root")),
    "below": runs.c.run_id < bindparam("below"),
    "above": runs.c.run_id > bindparam("above"),
    "from_id": runs.c.run_id >= bindparam("from_id"),
    "until_id": runs.c.run_id < bindparam("until_id"),
    "dead_letters": literal_column("(runs.dead_lettered_at IS NOT NULL AND runs.dead_letter_left_at IS NULL)"),
}
"""What a list of runs may be filtered by in SQL, because an index finds it: the parameter's name → its condition.

Everything else is looked at run by run, under the scan budget: a statement on the event loop must be short.
"""


def _shown(shows: Shows) -> ColumnElement[bool]:
    wanted: list[ColumnElement[bool]] = [runs.c.state == shows.state]
    if shows.reasons is not None:
        wanted.append(_one_of(runs.c.reason, shows.reasons))
    if shows.dead is not None:
        dead = runs.c.dead_lettered_at
        wanted.append(dead.is_not(None) if shows.dead else dead.is_(None))
    if shows.asked is not None:
        asked = runs.c.cancel_requested_at
        wanted.append(asked.is_not(None) if shows.asked else asked.is_(None))
    if shows.surface is not None:
        mine = _KINDS.get(shows.surface)
        wanted += [runs.c.kind != kind for kind in _OTHERS] if mine is None else [_one_of(runs.c.kind, mine)]
    return and_(*wanted)


def _one_of(column: ColumnElement[str], values: Sequence[Any]) -> ColumnElement[bool]:
    # Not `in_` of plain values: SQLAlchemy would leave their place open until its own engine runs the statement.
    return or_(false(), *(column == value for value in values))


def indexed(shown: frozenset[Shows]) -> bool:
    """Tell whether an index leads to the runs that show this: the live ones, and those that did not end well."""
    states = {shows.state for shows in shown}
    return states <= _LIVE or states <= _UNHAPPY


@lru_cache(maxsize=512)
def listing(names: frozenset[str], shown: frozenset[Shows] | None, *, newest_first: bool) -> Query:
    """Return the statement for a list: run ids under the named `CONDITIONS`, showing one of `shown`.

    Takes the parameter `limit` beside those of its conditions. One statement for each shape of filter, compiled once.
    """
    wanted = [CONDITIONS[name] for name in sorted(names)]
    if shown is not None:
        wanted.append(or_(false(), *(_shown(shows) for shows in sorted(shown, key=repr))))
        states = {shows.state for shows in shown}
        if states <= _LIVE:
            wanted.append(runs.c.run_id.in_(select(run_heads.c.run_id)))
        elif states <= _UNHAPPY:
            wanted.append(_ANY_UNHAPPY)
    order = runs.c.run_id.desc() if newest_first else runs.c.run_id.asc()
    return Query(select(runs.c.run_id).where(*wanted).order_by(order).limit(bindparam("limit")))
