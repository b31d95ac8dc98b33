"""Statements of tickets."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select, update

from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.tenancy_tables import tickets

_this = tickets.c.name == bindparam("row")

MAKE = inserting(tickets)
ENTER = Query(
    update(tickets)
    .where(_this, tickets.c.path == bindparam("shown"), tickets.c.until > bindparam("now"))
    .values(until=bindparam("until"))
    .returning(tickets.c.actor)
)
KEEP = Query(update(tickets).where(_this).values(until=bindparam("until")))
OF_OWNER = Query(
    select(func.count())
    .select_from(tickets)
    .where(tickets.c.owner == bindparam("owner"), tickets.c.until > bindparam("now"))
)
ALL = Query(select(func.count()).select_from(tickets).where(tickets.c.until > bindparam("now")))
FORGET_TICKETS = Query(delete(tickets).where(tickets.c.until <= bindparam("before")))
