"""Statements of the dead letter queue, and of what is forgotten of ended runs."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, update

from runwright.store.query import Query
from runwright.store.tables import idempotency, runs

# Whoever comes second waits for the row, looks at it again, and finds that the run has left.
DISCARD = Query(
    update(runs)
    .where(
        runs.c.run_id == bindparam("row"),
        runs.c.dead_lettered_at.is_not(None),
        runs.c.dead_letter_left_at.is_(None),
    )
    .values(dead_letter_left_at=bindparam("left_at"))
    .returning(runs.c.run_id)
)
FREE_KEY = Query(
    delete(idempotency)
    .where(
        idempotency.c.scope == bindparam("scope"),
        idempotency.c.key == bindparam("key"),
        idempotency.c.target == bindparam("target"),
    )
    .returning(idempotency.c.key)
)
