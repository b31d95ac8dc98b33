"""Statements of single values of runs."""

from __future__ import annotations

from sqlalchemy import bindparam

from runwright.store.base import StoredValue
from runwright.store.queries.shapes import rows
from runwright.store.query import Query
from runwright.store.tables import run_values

BY_KEY = Query(
    rows(
        run_values,
        StoredValue,
        run_values.c.run_id == bindparam("run_id"),
        run_values.c.kind == bindparam("kind"),
        run_values.c.key == bindparam("key"),
    )
)
