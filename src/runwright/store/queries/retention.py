"""Statements of retention: which ended runs are thinned next, and which thinned ones are forgotten."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, bindparam, case, cast, column, exists, literal_column, or_, select, table

from runwright.domain.instants import DAY_US
from runwright.store.query import Query
from runwright.store.tables import run_heads, runs
from runwright.store.tenancy_tables import projects

_migrations = table("migrations", column("name"), column("applied_at"))
_parent = run_heads.alias("parent")
_before = bindparam("before", type_=BigInteger)
_limit = bindparam("limit", type_=Integer)
_own = bindparam("now", type_=BigInteger) - cast(projects.c.retention_days * literal_column(str(DAY_US)), BigInteger)

TO_THIN = Query(
    select(runs.c.run_id, runs.c.org_id)
    .select_from(projects.join(runs, runs.c.project_id == projects.c.project_id))
    .where(
        literal_column("(finished_at IS NOT NULL AND pruned_at IS NULL)"),  # as the index says it
        runs.c.finished_at < case((_own > _before, _own), else_=_before),
        ~exists(select(_parent.c.run_id).where(_parent.c.run_id == runs.c.parent_run_id)),
    )
    .limit(_limit)
)
"""Runs that ended before the server's instant, or their project's if that is later, and have their records yet.

Children of live runs are none of them. Project by project, those that ended first.
"""

TO_FORGET = Query(
    select(runs.c.run_id, runs.c.org_id)
    .where(literal_column("(pruned_at IS NOT NULL)"), runs.c.finished_at < _before)
    .order_by(runs.c.finished_at)
    .limit(_limit)
)
"""The thinned runs that ended first."""

_name = _migrations.c.name
MIGRATED = Query(
    select(_name, _migrations.c.applied_at).where(
        or_(_name == literal_column("'initial'"), _name == literal_column("'pruned'"))
    )
)
"""When the database was made, and when it learned of thinned runs."""
