"""Statements of budgets that runs share, and of what is reserved of them."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, BindParameter, bindparam, cast, delete, func, or_, select

from runwright.domain.shared_budget import Reservation, SharedBudget
from runwright.store.base import Row
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.spending_tables import budgets, reservations

_key = budgets.c.budget_key
_one = _key == bindparam("budget_key")
_of_run = or_(_key == bindparam("day"), _key == bindparam("project"), _key == bindparam("thread"))

SPENT_FROM = Query(rows(budgets, SharedBudget, _of_run).order_by(_key))
"""The budgets that a run spends from."""
LOCKED = Query(rows(budgets, SharedBudget, _of_run).order_by(_key).with_for_update())
"""The same, locked in the order of their keys: who spends from several meets whoever does so at the first."""

BUDGET = Query(rows(budgets, SharedBudget, _one))
BUDGET_LOCKED = Query(rows(budgets, SharedBudget, _one).with_for_update())
INSERT_BUDGET = inserting(budgets)
SET_LIMIT = setting(budgets, "budget_key", "limit_microusd", "updated_at")
SPEND = setting(budgets, "budget_key", "settled_microusd", "reserved_microusd", "window_at")
DELETE_BUDGET = Query(delete(budgets).where(_one))
_org: BindParameter[str] = bindparam("org_id")
BUDGETS = paging(rows(budgets, SharedBudget, budgets.c.org_id == _org), budgets.c.budget_id)
BUDGETS_OF_PROJECT = paging(
    rows(budgets, SharedBudget, budgets.c.project_id == bindparam("project_id")), budgets.c.budget_id
)

INSERT_RESERVATION = inserting(reservations)
RESERVED = Query(rows(reservations, Reservation, reservations.c.run_id == bindparam("run_id")))
DELETE_RESERVATION = Query(
    delete(reservations).where(
        reservations.c.run_id == bindparam("run_id"),
        reservations.c.llm_call_id == bindparam("llm_call_id"),
        reservations.c.budget_key == bindparam("budget_key"),
    )
)
DELETE_RESERVATIONS = Query(delete(reservations).where(reservations.c.budget_key == bindparam("budget_key")))

_held = (
    select(reservations.c.budget_key, cast(func.sum(reservations.c.amount_microusd), BigInteger).label("held"))
    .group_by(reservations.c.budget_key)
    .subquery()
)
UNEVEN = Query(
    select(_key, budgets.c.reserved_microusd, func.coalesce(_held.c.held, 0))
    .select_from(budgets.outerjoin(_held, _held.c.budget_key == _key))
    .where(budgets.c.reserved_microusd != func.coalesce(_held.c.held, 0))
    .order_by(_key)
)
"""Budgets of which something else is reserved than calls of models hold."""


def row(budget: SharedBudget) -> dict[str, Any]:
    """Return the columns of a budget."""
    return msgspec.structs.asdict(budget)


def budget(found: Row) -> SharedBudget:
    """Return the budget of a row."""
    return SharedBudget(**dict(zip(SharedBudget.__struct_fields__, found, strict=True)))
