"""Statements of evidence: what a log began with, all values of a run, and what the audit log says of it."""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, func, select, tuple_

from runwright.store.base import StoredValue
from runwright.store.queries.shapes import rows
from runwright.store.query import Query
from runwright.store.tables import run_values, runs
from runwright.store.tenancy_tables import audit

BEGINNING = Query(select(runs.c.opening, runs.c.genesis).where(runs.c.run_id == bindparam("run_id")))
"""The opening of a log, and its genesis where that is no more the opening's digest."""

_of_run = run_values.c.run_id == bindparam("run_id")
VALUES = Query(
    rows(run_values, StoredValue, _of_run)
    .where(tuple_(run_values.c.kind, run_values.c.key) > tuple_(bindparam("kind"), bindparam("key")))
    .order_by(run_values.c.kind, run_values.c.key)
    .limit(bindparam("limit", type_=Integer))
)
"""The values of a run behind one, by kind and key."""
NAMES = Query(select(run_values.c.kind, run_values.c.key, run_values.c.created_at).where(_of_run))
"""What the values of a run are called, without any of them."""
COUNT_VALUES = Query(select(func.count()).select_from(run_values).where(_of_run))

_before = audit.alias("before")
ENTRIES = Query(
    select(*audit.columns, _before.c.hash)
    .select_from(
        audit.outerjoin(_before, (_before.c.org_id == audit.c.org_id) & (_before.c.number == audit.c.number - 1))
    )
    .where(
        audit.c.org_id == bindparam("org_id"),
        audit.c.target == bindparam("target"),
        audit.c.action != bindparam("but"),
    )
    .order_by(audit.c.number)
)
"""The entries about a target that are not of one action, each with the hash of the entry before it."""
