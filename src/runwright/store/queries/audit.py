"""Statements of the audit log: it is only ever appended to."""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, select

from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.tables import audit, organizations

LOCK_ORGANIZATION = Query(
    select(organizations.c.org_id).where(organizations.c.org_id == bindparam("org_id")).with_for_update()
)
INSERT_ENTRY = inserting(audit)
LAST_ENTRY = Query(
    select(audit.c.number, audit.c.hash)
    .where(audit.c.org_id == bindparam("org_id"))
    .order_by(audit.c.number.desc())
    .limit(1)
)
ENTRIES = Query(
    select(*audit.columns)
    .where(audit.c.org_id == bindparam("org_id"), audit.c.number > bindparam("after"))
    .order_by(audit.c.number)
    .limit(bindparam("limit", type_=Integer))
)
