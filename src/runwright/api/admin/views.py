"""Records of tenancy to wire shapes."""

from __future__ import annotations

from typing import Any

from runwright.api import instants
from runwright.api.admin import schemas as wire
from runwright.auth.keys import Minted
from runwright.auth.organizations import Founded
from runwright.domain import accounts
from runwright.domain.tenancy import ROLES


def organization_view(organization: accounts.Organization) -> wire.Organization:
    """Return an organization as the wire shows it."""
    return wire.Organization(
        id=organization.org_id,
        slug=organization.slug,
        name=organization.name,
        created_at=instants.text(organization.created_at),
    )


def founded_view(founded: Founded) -> wire.CreatedOrganization:
    """Return a new organization with its token."""
    shown = organization_view(founded.organization)
    return wire.CreatedOrganization(
        id=shown.id, slug=shown.slug, name=shown.name, created_at=shown.created_at, token=founded.token
    )


def project_view(project: accounts.Project) -> wire.Project:
    """Return a project as the wire shows it."""
    return wire.Project(
        id=project.project_id,
        org_id=project.org_id,
        slug=project.slug,
        name=project.name,
        weight=project.weight,
        max_concurrency=project.max_concurrency,
        retention_days=project.retention_days,
        created_at=instants.text(project.created_at),
    )


def user_view(user: accounts.User) -> wire.User:
    """Return a user as the wire shows it."""
    return wire.User(
        id=user.user_id,
        org_id=user.org_id,
        name=user.name,
        email=user.email,
        enabled=user.enabled,
        subject=user.subject,
        created_at=instants.text(user.created_at),
    )


def member_view(member: accounts.Member) -> wire.Member:
    """Return a member as the wire shows it."""
    return wire.Member(
        id=member.member_id,
        org_id=member.org_id,
        project_id=member.project_id,
        user_id=member.user_id,
        role=member.role,
        scopes=sorted(ROLES[member.role]),
        created_at=instants.text(member.created_at),
        created_by=member.created_by,
    )


def key_view(key: accounts.ApiKey) -> wire.Key:
    """Return a key as the wire shows it, without its token."""
    return wire.Key(**_key_fields(key))


def minted_view(minted: Minted) -> wire.CreatedKey:
    """Return a new key with its token."""
    return wire.CreatedKey(**_key_fields(minted.key), token=minted.token)


def _key_fields(key: accounts.ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "prefix": key.prefix,
        "org_id": key.org_id,
        "project_id": key.project_id,
        "user_id": key.user_id,
        "service": key.user_id is None,
        "scopes": list(key.scopes),
        "created_at": instants.text(key.created_at),
        "created_by": key.created_by,
        "expires_at": text_or_none(key.expires_at),
        "revoked_at": text_or_none(key.revoked_at),
        "rotated_to": key.rotated_to,
    }


def text_or_none(at: int | None) -> str | None:
    """Return an instant as the wire shows it, or None where there is none."""
    return None if at is None else instants.text(at)
