"""Statements of organizations, projects, users, members, API keys and the keyring."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from runwright.domain.accounts import ApiKey, Member, Membership, Organization, Project, User
from runwright.store.base import Row
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.tenancy_tables import api_keys, keyring, members, organizations, projects, users

INSERT_ORGANIZATION = inserting(organizations)
SET_ORGANIZATION = setting(organizations, "org_id", "name")
ORGANIZATION = Query(rows(organizations, Organization, organizations.c.org_id == bindparam("org_id")))
ORGANIZATION_BY_SLUG = Query(rows(organizations, Organization, organizations.c.slug == bindparam("slug")))
FIRST_ORGANIZATION = Query(rows(organizations, Organization).order_by(organizations.c.org_id).limit(1))

_of_org = projects.c.org_id == bindparam("org_id")
INSERT_PROJECT = inserting(projects)
SET_PROJECT = setting(projects, "project_id", "name", "weight", "max_concurrency", "retention_days")
PROJECT = Query(rows(projects, Project, _of_org, projects.c.project_id == bindparam("project_id")))
PROJECT_BY_SLUG = Query(rows(projects, Project, _of_org, projects.c.slug == bindparam("slug")))
PROJECTS = paging(rows(projects, Project, _of_org), projects.c.project_id)
PROJECT_IDS = Query(select(projects.c.project_id))

_of_org = users.c.org_id == bindparam("org_id")
INSERT_USER = inserting(users)
SET_USER = setting(users, "user_id", "name", "email", "enabled", "issuer", "subject")
USER = Query(rows(users, User, _of_org, users.c.user_id == bindparam("user_id")))
USER_BY_NAME = Query(rows(users, User, _of_org, users.c.name == bindparam("name")))
USER_BY_SUBJECT = Query(
    rows(users, User, users.c.issuer == bindparam("issuer"), users.c.subject == bindparam("subject"))
)
USERS = paging(rows(users, User, _of_org), users.c.user_id)

_of_org = members.c.org_id == bindparam("org_id")
_of_project = members.c.project_id == bindparam("project_id")
_of_user = members.c.user_id == bindparam("user_id")
_there = members.c.removed_at.is_(None)
_whole = members.c.project_id.is_(None)
INSERT_MEMBER = inserting(members)
SET_MEMBER = setting(members, "member_id", "role", "removed_at")
MEMBER = Query(rows(members, Member, _of_org, _there, members.c.member_id == bindparam("member_id")))
MEMBER_OF_ORG = Query(rows(members, Member, _of_org, _there, _whole, _of_user))
MEMBER_OF_PROJECT = Query(rows(members, Member, _of_org, _there, _of_project, _of_user))
MEMBERS = paging(rows(members, Member, _of_org, _there), members.c.member_id)
MEMBERS_OF_PROJECT = paging(rows(members, Member, _of_org, _there, _of_project), members.c.member_id)
MEMBERS_OF_USER = Query(rows(members, Member, _of_org, _there, _of_user).order_by(members.c.member_id))
MEMBERSHIPS = Query(
    select(members.c.role, members.c.project_id, members.c.removed_at).where(_of_user).order_by(members.c.member_id)
)
ADMINS = Query(
    select(members.c.user_id)
    .join(users, users.c.user_id == members.c.user_id)
    .where(_of_org, _there, _whole, members.c.role == "admin", users.c.enabled)
    .limit(2)
)
"""Who may still do everything in an organization: two are enough to know that one of them may go."""

_of_org = api_keys.c.org_id == bindparam("org_id")
_of_project = api_keys.c.project_id == bindparam("project_id")
INSERT_KEY = inserting(api_keys)
SET_KEY = setting(api_keys, "key_id", "expires_at", "revoked_at", "rotated_to")
KEY = Query(rows(api_keys, ApiKey, _of_org, api_keys.c.key_id == bindparam("key_id")))
KEYS = paging(rows(api_keys, ApiKey, _of_org), api_keys.c.key_id)
KEYS_OF_PROJECT = paging(rows(api_keys, ApiKey, _of_org, _of_project), api_keys.c.key_id)
CREDENTIAL = Query(rows(api_keys, ApiKey, api_keys.c.prefix == bindparam("prefix")).add_columns(api_keys.c.digest))
"""The key of a prefix, then its digest."""

KEYRING = Query(select(keyring.c.name, keyring.c.wrapped))
KEYRING_ENTRY = Query(select(keyring.c.wrapped).where(keyring.c.name == bindparam("name")))
LOCK_KEYRING = Query(select(keyring.c.name).where(keyring.c.name == "master").with_for_update())
INSERT_KEYRING_ENTRY = inserting(keyring)
SIGNING_KEYS = Query(
    select(keyring.c.name, keyring.c.wrapped, keyring.c.created_at)
    .where(keyring.c.name > bindparam("first"), keyring.c.name < bindparam("last"))
    .order_by(keyring.c.created_at, keyring.c.name)
)
"""The entries of names between two, the newest last."""


def organization(row: Row) -> Organization:
    """Return the organization of a row."""
    return Organization(*row)


def project(row: Row) -> Project:
    """Return the project of a row."""
    return Project(*row)


def user(row: Row) -> User:
    """Return the user of a row."""
    user_id, org_id, name, email, enabled, *rest = row
    return User(user_id, org_id, name, email, bool(enabled), *rest)


def member(row: Row) -> Member:
    """Return the member of a row."""
    return Member(*row)


def membership(row: Row) -> Membership:
    """Return the membership of a row of `MEMBERSHIPS`."""
    role, project_id, removed_at = row
    return Membership(role, project_id, removed_at is not None)


def api_key(row: Row) -> ApiKey:
    """Return the key of a row; columns after the key's own are left alone."""
    key_id, org_id, project_id, user_id, name, prefix, scopes, *rest = row[: len(ApiKey.__struct_fields__)]
    return ApiKey(key_id, org_id, project_id, user_id, name, prefix, tuple(scopes.split()), *rest)
