"""Statements of KPIs: what ended runs add, one by one and added up, and the parts of logs that tell it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any
from zlib import compress, decompress

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    delete,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from runwright.domain.histogram import packed, unpacked
from runwright.domain.kpi_facts import COUNTED, READ, Fact, Facts, Told
from runwright.domain.kpi_sums import Place, Rate, Spread, Sums
from runwright.store.base import Row
from runwright.store.kpi_tables import kpi_runs, kpi_sums
from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.tables import run_events, runs

TOGETHER = 50
"""Most runs that one statement reads or writes."""
QUICK = 1
"""The level of compression: the quickest."""

_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(Facts).decode
_SHOWN = tuple(name for name in Fact.__struct_fields__ if name != "facts")
_shown = attrgetter(*_SHOWN)


class _Spread(msgspec.Struct, array_like=True):
    total: int
    first: int
    lanes: bytes


class _Sums(msgspec.Struct, array_like=True):
    ended: int
    born: int
    rates: dict[str, Rate]
    spreads: dict[str, _Spread]


_pack = msgspec.msgpack.Encoder().encode
_sums = msgspec.msgpack.Decoder(_Sums).decode

_s, _r, _e = kpi_sums.c, kpi_runs.c, run_events.c
_limit = bindparam("limit", type_=Integer)


def _all(columns: Any, *names: str) -> ColumnElement[bool]:
    return and_(*(columns[name] == bindparam(f"row_{name}") for name in names))


_place = _all(_s, "org_id", "project_id", "dimension", "label", "grain", "at")
SUMS_AT = Query(select(_s.sums).where(_place).with_for_update())
INSERT_SUMS = inserting(kpi_sums)
SET_SUMS = Query(update(kpi_sums).where(_place).values(sums=bindparam("sums")))
_scope = _all(_s, "org_id", "project_id", "dimension", "grain")
SUMS = Query(
    select(_s.label, _s.sums).where(_scope, _s.at >= bindparam("since"), _s.at < bindparam("until")).order_by(_s.at)
)
"""What is kept of a piece of time: each label of a dimension, with its sums."""
FIRST_AT = Query(select(_s.at).where(_scope).order_by(_s.at).limit(_limit))
FORGET_SUMS = Query(delete(kpi_sums).where(_s.grain == bindparam("grain"), _s.at < bindparam("before")))

FORGET_RUNS = Query(delete(kpi_runs).where(_r.project_id == bindparam("project_id"), _r.ended_at < bindparam("before")))

LABELS: dict[str, ColumnElement[bool]] = {
    name: _r[name] == bindparam(f"label_{name}") for name in ("kind", "mode", "repo", "model")
}
"""What a list of runs may be narrowed to: the dimension → its condition."""


@lru_cache(maxsize=64)
def listing(names: frozenset[str], *, of_project: bool, beyond: bool, newest_first: bool) -> Query:
    """Return the statement of a list: runs that ended in a time, under the named `LABELS`, by the instant of their end.

    Takes `since`, `until`, `limit`, `org_id`, and `project_id` where it is `of_project`; `bound_at` and `bound_id`
    where it goes on `beyond` a run.
    """
    wanted = [LABELS[name] for name in sorted(names)]
    owner = _r.project_id == bindparam("project_id") if of_project else _r.org_id == bindparam("org_id")
    wanted += [owner, _r.ended_at >= bindparam("since"), _r.ended_at < bindparam("until")]
    if beyond:
        at, ident = bindparam("bound_at", type_=BigInteger), bindparam("bound_id", type_=Text)
        same = and_(_r.ended_at == at, _r.run_id < ident if newest_first else _r.run_id > ident)
        wanted.append(or_(_r.ended_at < at if newest_first else _r.ended_at > at, same))
    columns = (_r.ended_at, _r.run_id)
    order = [column.desc() for column in columns] if newest_first else list(columns)
    return Query(select(*(_r[name] for name in Fact.__struct_fields__)).where(*wanted).order_by(*order).limit(_limit))


@lru_cache(maxsize=TOGETHER)
def insertion(count: int) -> Query:
    """Return the insertion of so many runs; the parameters of each end in its number."""
    names = [column.name for column in kpi_runs.columns]
    return Query(
        insert(kpi_runs).values([{name: bindparam(f"{name}_{number}") for name in names} for number in range(count)])
    )


def parameters(facts: Sequence[Fact]) -> dict[str, Any]:
    """Return the parameters of `insertion`."""
    values = (value for each in facts for value in (*_shown(each), _encode(each.facts)))
    return dict(zip(_numbered(len(facts)), values, strict=True))


@lru_cache(maxsize=TOGETHER)
def _numbered(count: int) -> list[str]:
    return [f"{name}_{number}" for number in range(count) for name in (*_SHOWN, "facts")]


def fact(row: Row) -> Fact:
    """Return the fact of a row."""
    named = dict(zip(Fact.__struct_fields__, row, strict=True))
    return Fact(**named | {"facts": _facts(named["facts"])})


def place(found: Place) -> dict[str, Any]:
    """Return the parameters that name a place."""
    return {f"row_{name}": value for name, value in msgspec.structs.asdict(found).items()}


def encoded(sums: Sums) -> bytes:
    """Return sums as they are stored: histograms by their lanes, most of which are empty, so that they pack well."""
    spreads = {name: _Spread(each.total, *packed(each.histogram)) for name, each in sums.spreads.items()}
    return compress(_pack(_Sums(sums.ended, sums.born, sums.rates, spreads)), QUICK)


def decoded(stored: bytes) -> Sums:
    """Return stored sums."""
    kept = _sums(decompress(stored))
    spreads = {name: Spread(each.total, unpacked(each.first, each.lanes)) for name, each in kept.spreads.items()}
    return Sums(kept.ended, kept.born, kept.rates, spreads)


_counted: ColumnElement[Any] = literal_column("(" + ", ".join(f"'{name}'" for name in sorted(COUNTED)) + ")")
_read: ColumnElement[Any] = literal_column("(" + ", ".join(f"'{name}'" for name in sorted(READ)) + ")")


@lru_cache(maxsize=TOGETHER)
def told(count: int) -> Query:
    """Return the statement that reads what the logs of so many runs tell, `run_0` and on, in their order.

    A log is one range of the primary key; the data of most types are not read.
    """
    named = _e.run_id.in_([bindparam(f"run_{number}", type_=Text) for number in range(count)])
    data = case((_e.type.op("IN")(_read), _e.data), else_=None)
    return Query(
        select(_e.run_id, _e.type, _e.created_at, data)
        .where(named, _e.type.op("IN")(_counted))
        .order_by(_e.run_id, _e.seq)
    )


def named(run_ids: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of `told`."""
    return {f"run_{number}": run_id for number, run_id in enumerate(run_ids)}


def event(row: Row) -> Told:
    """Return what a row of `told` tells."""
    return Told(*row)


@lru_cache(maxsize=TOGETHER)
def erased(count: int) -> Query:
    """Return the statement that reads when the data of so many runs were erased, and holds up who would erase them."""
    of_these = runs.c.run_id.in_([bindparam(f"run_{number}", type_=Text) for number in range(count)])
    return Query(
        select(runs.c.run_id, runs.c.erased_at).where(of_these).order_by(runs.c.run_id).with_for_update(read=True)
    )


ERASE = Query(
    update(kpi_runs)
    .where(
        _r.org_id == bindparam("row_org_id"),
        _r.ended_at == bindparam("row_ended_at"),
        _r.run_id == bindparam("row"),
    )
    .values(repo=null())
)
"""Forget the repository of a run that is counted: it is the one thing there that a person wrote."""

END_OF_LOG = Query(
    select(_e.type, _e.data).where(_e.run_id == bindparam("run_id")).order_by(_e.seq.desc()).limit(literal_column("1"))
)
"""The last event of a log."""
