"""Statements of approvals: the list of what people are asked, and who may decide."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from runwright.store.approval_tables import approvals
from runwright.store.queries.shapes import inserting, paging, setting
from runwright.store.query import Query
from runwright.store.tenancy_tables import api_keys, members, users

_limit = bindparam("limit", type_=Integer)
_org: BindParameter[str] = bindparam("org_id")
_project: BindParameter[str] = bindparam("project_id")
_of_run = approvals.c.run_id == bindparam("run_id")
_pending: ColumnElement[bool] = literal_column("(status = 'pending')")  # as the index says it
_row = select(approvals.c.checkpoint_id, approvals.c.checkpoint, approvals.c.project_id)

INSERT = inserting(approvals)
MOVE = setting(approvals, "checkpoint_id", "status", "decided_at", "checkpoint")
STORED = Query(select(approvals.c.checkpoint).where(approvals.c.checkpoint_id == bindparam("checkpoint_id")))
OF_RUN = paging(_row.where(_of_run), approvals.c.checkpoint_id)
ONE = Query(_row.where(_of_run, approvals.c.checkpoint_id == bindparam("checkpoint_id")))
ERASE = Query(delete(approvals).where(approvals.c.run_id == bindparam("row")))

_status = approvals.c.status == bindparam("status")
PENDING = paging(_row.where(approvals.c.org_id == _org, _pending), approvals.c.checkpoint_id)
OF_ORG = paging(_row.where(approvals.c.org_id == _org), approvals.c.checkpoint_id)
OF_ORG_IN = paging(_row.where(approvals.c.org_id == _org, _status), approvals.c.checkpoint_id)
OF_PROJECT = paging(_row.where(approvals.c.project_id == _project), approvals.c.checkpoint_id)
OF_PROJECT_IN = paging(_row.where(approvals.c.project_id == _project, _status), approvals.c.checkpoint_id)

COUNTED = 1000
ASKED = Query(
    select(func.count()).select_from(
        select(approvals.c.checkpoint_id).where(_pending).limit(literal_column(str(COUNTED), Integer)).subquery()
    )
)

_whole = members.alias("whole")
_there = members.c.removed_at.is_(None)
_enabled = users.c.enabled
MEMBERS = Query(
    select(members.c.user_id, members.c.role)
    .select_from(members.join(users, users.c.user_id == members.c.user_id))
    .where(
        members.c.org_id == _org,
        _there,
        _enabled,
        or_(members.c.role == "approver", members.c.role == "admin"),
        or_(
            members.c.project_id.is_(None),
            (members.c.project_id == _project)
            & ~exists(
                select(_whole.c.user_id).where(
                    _whole.c.user_id == members.c.user_id, _whole.c.project_id.is_(None), _whole.c.removed_at.is_(None)
                )
            ),
        ),
    )
    .limit(_limit)
)
"""The users whose role lets them approve in a project; a role in the organization counts, whatever is beside it."""

KEYS = Query(
    select(api_keys.c.user_id, api_keys.c.scopes)
    .select_from(api_keys.join(users, users.c.user_id == api_keys.c.user_id))
    .where(
        api_keys.c.org_id == _org,
        _enabled,
        or_(api_keys.c.project_id.is_(None), api_keys.c.project_id == _project),
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > bindparam("now", type_=BigInteger)),
        ~exists(select(members.c.user_id).where(members.c.user_id == api_keys.c.user_id)),
    )
    .limit(_limit)
)
"""The keys of users who were never a member of anything: what they may is what their keys say."""
MAKER_OF_KEY = Query(
    select(api_keys.c.created_by).where(api_keys.c.org_id == _org, api_keys.c.key_id == bindparam("key_id"))
)
