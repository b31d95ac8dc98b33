"""Statements of workflows and their versions, and of the runs of them that go on."""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, Integer, bindparam, literal_column, select

from runwright.domain.workflow import Workflow, WorkflowDefinition, WorkflowVersion
from runwright.store.base import Row
from runwright.store.graph_tables import workflow_versions, workflows
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.tables import runs

_is_there = workflows.c.deleted_at.is_(None)
_of_org = workflows.c.org_id == bindparam("org_id")
_of_project = workflows.c.project_id == bindparam("project_id")

INSERT = inserting(workflows)
CHANGE = setting(workflows, "workflow_id", "slug", "version", "workflow_version_id", "definition", "updated_at")
DELETE = setting(workflows, "workflow_id", "deleted_at")
ONE = Query(rows(workflows, Workflow, workflows.c.workflow_id == bindparam("workflow_id"), _is_there))
BY_SLUG = Query(rows(workflows, Workflow, _of_project, workflows.c.slug == bindparam("slug"), _is_there))
PAGE = paging(rows(workflows, Workflow, _of_org, _is_there), workflows.c.workflow_id)
PAGE_OF_PROJECT = paging(rows(workflows, Workflow, _of_project, _is_there), workflows.c.workflow_id)

_version = workflow_versions.c.workflow_version_id
INSERT_VERSION = inserting(workflow_versions)
VERSION = Query(rows(workflow_versions, WorkflowVersion, _version == bindparam("workflow_version_id")))
VERSIONS = paging(
    rows(workflow_versions, WorkflowVersion, workflow_versions.c.workflow_id == bindparam("workflow_id")), _version
)

_goes_on: ColumnElement[bool] = literal_column("(runs.kind = 'workflow' AND runs.state = 'waiting')")  # as the index
GOING_ON = Query(
    select(runs.c.run_id)
    .where(_goes_on, runs.c.run_id > bindparam("above"))
    .order_by(runs.c.run_id)
    .limit(bindparam("limit", type_=Integer))
)
"""Runs of workflows that are neither paused nor over."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Stored(WorkflowDefinition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A definition as another version of this program may have stored it, with fields that this one does not know."""


_decode = msgspec.json.Decoder(_Stored).decode


def encoded(definition: WorkflowDefinition) -> bytes:
    """Return a definition as it is stored: all fields, so that a later default changes no version."""
    return _encode(definition)


def decoded(definition: bytes) -> WorkflowDefinition:
    """Return a stored definition, without what this version of the program does not know."""
    found = _decode(definition)
    return WorkflowDefinition(**{name: getattr(found, name) for name in WorkflowDefinition.__struct_fields__})


def workflow(row: Row) -> Workflow:
    """Return the workflow of a row."""
    fields = dict(zip(Workflow.__struct_fields__, row, strict=True))
    return Workflow(**{**fields, "definition": decoded(fields["definition"])})


def version(row: Row) -> WorkflowVersion:
    """Return the version of a row."""
    fields = dict(zip(WorkflowVersion.__struct_fields__, row, strict=True))
    return WorkflowVersion(**{**fields, "definition": decoded(fields["definition"])})
