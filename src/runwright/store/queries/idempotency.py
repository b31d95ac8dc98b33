"""Statements of idempotency keys; the store itself reads them (`Transaction.idempotency`)."""

from __future__ import annotations

from sqlalchemy import bindparam, delete

from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.tables import idempotency

FORGET = Query(
    delete(idempotency).where(idempotency.c.scope == bindparam("scope"), idempotency.c.key == bindparam("key"))
)
REMEMBER = inserting(idempotency)
