"""Statements of artifacts: who uploaded which bytes, and which rows name a file."""

from __future__ import annotations

import msgspec
from sqlalchemy import Integer, Select, bindparam, literal_column, select, union

from runwright.store.queries.shapes import inserting, rows
from runwright.store.query import Query
from runwright.store.tables import artifacts, run_values, runs


class Uploaded(msgspec.Struct, frozen=True):
    """Bytes that an organization uploaded for one of its projects."""

    org_id: str
    project_id: str
    digest: str
    size: int
    created_at: int
    created_by: str


_of_org = artifacts.c.org_id == bindparam("org_id")
_of_project = artifacts.c.project_id == bindparam("project_id")
_this = artifacts.c.digest == bindparam("digest")
_sealed = (run_values.c.artifact == bindparam("digest"), runs.c.org_id == bindparam("org_id"))


def _first(statement: Select[tuple[object, ...]]) -> Query:
    return Query(statement.order_by(artifacts.c.created_at, artifacts.c.project_id).limit(literal_column("1", Integer)))


UPLOADED = _first(rows(artifacts, Uploaded, _of_org, _this))
UPLOADED_IN_PROJECT = _first(rows(artifacts, Uploaded, _of_org, _of_project, _this))
INSERT = inserting(artifacts)

_sealed_by = select(runs.c.run_id).join(run_values, run_values.c.run_id == runs.c.run_id).where(*_sealed)
SEALED = Query(_sealed_by.limit(literal_column("1", Integer)))
SEALED_IN_PROJECT = Query(
    _sealed_by.where(runs.c.project_id == bindparam("project_id")).limit(literal_column("1", Integer))
)

OF_RUN = Query(
    select(run_values.c.kind, run_values.c.key, run_values.c.artifact, run_values.c.created_at)
    .where(run_values.c.run_id == bindparam("run_id"), run_values.c.artifact.is_not(None))
    .order_by(run_values.c.created_at, run_values.c.kind, run_values.c.key)
)

NAMED = Query(
    union(
        select(run_values.c.artifact).where(
            run_values.c.artifact >= bindparam("first"),
            run_values.c.artifact <= bindparam("last"),
            run_values.c.artifact.is_not(None),
        ),
        select(artifacts.c.digest).where(
            artifacts.c.digest >= bindparam("first"), artifacts.c.digest <= bindparam("last")
        ),
    )
)
"""The digests from `first` to `last` that a row names; a new table that names files is asked here and in `check`."""
