"""Statements of usage: what calls of models used, one by one, and added up."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
)  # fmt: skip

from runwright.domain.instants import DAY_US
from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.spending_tables import usage_records
from runwright.store.tables import runs
from runwright.store.tenancy_tables import projects

By = Literal["total", "day", "model", "user", "thread", "persona", "project"]
"""What usage is added up by."""

INSERT_USAGE = inserting(usage_records)

_u = usage_records.c
_SLASH = literal_column("'/'", Text)
_NONE = literal_column("''", Text)
_DAY = literal_column(str(DAY_US), BigInteger)
_ONE, _ZERO = literal_column("1", Integer), literal_column("0", Integer)

KEYS: dict[By, ColumnElement[Any]] = {
    "total": _NONE,
    "day": _u.recorded_at - _u.recorded_at % _DAY,
    "model": _u.provider + _SLASH + _u.model,
    "user": func.coalesce(_u.user_id, _NONE),
    "thread": _u.thread_id,
    "persona": _u.persona_id,
    "project": _u.project_id,
}
"""What names a row of a report; a day by its first µs, a model with its provider before it."""

CONDITIONS: dict[str, ColumnElement[bool]] = {
    "project_id": _u.project_id == bindparam("project_id"),
    "model": _u.model == bindparam("model"),
    "user_id": _u.user_id == bindparam("user_id"),
    "thread_id": _u.thread_id == bindparam("thread_id"),
    "persona_id": _u.persona_id == bindparam("persona_id"),
}
"""What a report may be narrowed to: the parameter's name → its condition."""


def _sum(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(func.sum(column), BigInteger)  # PostgreSQL's sum of whole numbers is a decimal


SUMS = (
    func.count(),
    func.count(func.distinct(_u.run_id)),
    _sum(_u.input_tokens),
    _sum(_u.cached_tokens),
    _sum(_u.output_tokens),
    _sum(_u.cost_microusd),
    _sum(case((_u.cost_microusd.is_(None), _ONE), else_=_ZERO)),
    _sum(_u.estimated),
)


@lru_cache(maxsize=512)
def report(by: By, names: frozenset[str], *, beyond: bool, newest_first: bool) -> Query:
    """Return the statement of a report: rows of a key and `SUMS`, under the named `CONDITIONS`, in the order of keys.

    Takes `org_id`, `since`, `until` and `limit` beside the conditions' parameters, and `bound` where it goes on
    `beyond` a key.
    """
    key = KEYS[by]
    wanted = [_u.org_id == bindparam("org_id"), *(CONDITIONS[name] for name in sorted(names))]
    wanted += [_u.recorded_at >= bindparam("since"), _u.recorded_at < bindparam("until")]
    if beyond:
        bound = bindparam("bound", type_=BigInteger if by == "day" else Text)
        wanted.append(key < bound if newest_first else key > bound)
    statement = select(key.label("key"), *SUMS).where(*wanted)
    if by != "total":
        statement = statement.group_by(key).order_by(key.desc() if newest_first else key.asc())
    return Query(statement.limit(bindparam("limit", type_=Integer)))


_lives = runs.c.finished_at.is_(None) | (runs.c.finished_at >= bindparam("before", type_=BigInteger))
TO_FORGET = Query(
    select(_u.org_id, _u.run_id)
    .select_from(projects.join(usage_records, _u.project_id == projects.c.project_id))
    .where(
        _u.recorded_at < bindparam("before", type_=BigInteger),
        ~exists(select(runs.c.run_id).where(runs.c.run_id == _u.run_id, _lives)),
    )
    .limit(bindparam("limit", type_=Integer))
)
"""Records of runs that ended before an instant, or are gone: a run for each of its records."""
FORGET_OF_RUN = Query(delete(usage_records).where(_u.run_id == bindparam("run_id")))

_added_up = (
    select(
        _u.run_id,
        _sum(_u.input_tokens).label("input_tokens"),
        _sum(_u.output_tokens).label("output_tokens"),
        func.coalesce(_sum(_u.cost_microusd), _ZERO).label("cost_microusd"),
    )
    .where(_u.run_id >= bindparam("first"), _u.run_id <= bindparam("last"))
    .group_by(_u.run_id)
)
OF_RUNS = Query(_added_up)
"""What the calls of each run of a span used, added up."""
