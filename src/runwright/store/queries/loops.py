"""Statements about remediation loops: those that live, and what a key stands for."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, select

from runwright.store.query import Query
from runwright.store.tables import idempotency, run_heads, runs

LIVE_LOOPS = Query(
    select(runs.c.run_id)
    .join(run_heads, run_heads.c.run_id == runs.c.run_id)
    .where(runs.c.project_id == bindparam("project_id"), runs.c.kind == bindparam("kind"))
    .order_by(runs.c.run_id)
)
"""The live runs of a kind in a project: heads are the live ones alone."""

KEY_OF = Query(
    select(idempotency.c.target).where(
        idempotency.c.scope == bindparam("scope"),
        idempotency.c.key == bindparam("key"),
        idempotency.c.created_at > bindparam("after", type_=BigInteger),
    )
)
"""What a key stands for that was used after an instant."""
