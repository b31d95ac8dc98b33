"""Statements of the rates at which the runs of jobs enter their queues."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update

from runwright.store.queries.shapes import inserting
from runwright.store.query import Query
from runwright.store.rate_tables import job_rates

_this = job_rates.c.job_id == bindparam("row")

INSERT = inserting(job_rates)
KEPT = Query(select(job_rates.c.instants).where(_this).with_for_update())
KEEP = Query(update(job_rates).where(_this).values(instants=bindparam("instants")))
FORGET = Query(delete(job_rates).where(_this))
