"""Statements of the audit log: it is only ever appended to."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import ColumnElement, Integer, bindparam, select, update

from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.tenancy_tables import audit, audit_heads, organizations

LOCK_ORGANIZATION = Query(
    select(organizations.c.org_id).where(organizations.c.org_id == bindparam("org_id")).with_for_update()
)
INSERT_ENTRY = inserting(audit)
INSERT_HEAD = inserting(audit_heads)
HEAD = Query(select(audit_heads.c.number, audit_heads.c.hash).where(audit_heads.c.org_id == bindparam("org_id")))
MOVE_HEAD = Query(
    update(audit_heads)
    .where(audit_heads.c.org_id == bindparam("row"))
    .values(number=bindparam("number"), hash=bindparam("hash"))
)
ENTRIES = Query(
    select(*audit.columns)
    .where(audit.c.org_id == bindparam("org_id"), audit.c.number > bindparam("after"))
    .order_by(audit.c.number)
    .limit(bindparam("limit", type_=Integer))
)

_before = audit.alias("before")

CONDITIONS: dict[str, ColumnElement[bool]] = {
    "actor": audit.c.actor == bindparam("actor"),
    "action": audit.c.action == bindparam("action"),
    "target": audit.c.target == bindparam("target"),
    "since": audit.c.created_at > bindparam("since"),
    "until": audit.c.created_at < bindparam("until"),
}
"""What a list of entries may be filtered by: the parameter's name → its condition."""


@lru_cache(maxsize=128)
def listing(names: frozenset[str], *, newest_first: bool) -> Query:
    """Return the statement for a list: entries with numbers from `low` to `high` that meet the named `CONDITIONS`.

    Each row ends with the hash of the entry before, null where that is missing. No index leads to the conditions: the
    span of numbers bounds what is read.
    """
    order = audit.c.number.desc() if newest_first else audit.c.number.asc()
    return Query(
        select(*audit.columns, _before.c.hash)
        .select_from(
            audit.outerjoin(_before, (_before.c.org_id == audit.c.org_id) & (_before.c.number == audit.c.number - 1))
        )
        .where(
            audit.c.org_id == bindparam("org_id"),
            audit.c.number.between(bindparam("low"), bindparam("high")),
            *(CONDITIONS[name] for name in sorted(names)),
        )
        .order_by(order)
        .limit(bindparam("limit", type_=Integer))
    )
