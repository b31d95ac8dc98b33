"""The shapes of organizations, projects, users, members and keys on the wire."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.api.instants import Instant
from runwright.auth.keys import GRACE_MAX_S, GRACE_S
from runwright.domain.accounts import END, Days, Name, Slots, Slug, Weight
from runwright.domain.tenancy import Role

Email = Annotated[str, Meta(max_length=320, pattern=r"^[^@\s]+@[^@\s]+" + END)]
Subject = Annotated[
    str, Meta(min_length=1, max_length=255, description="Who the user is at the configured OIDC issuer (`sub`).")
]
Retention = Annotated[
    Days,
    Meta(description="Days that the logs and values of its ended runs are kept; null: `retention_days` of the server."),
]
Scopes = Annotated[list[str], Meta(max_length=100, description="What the key may do; without scopes nothing.")]


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization: nobody outside of it sees anything that is in it."""

    id: str
    slug: str
    name: str
    created_at: str


class CreatedOrganization(Organization, frozen=True, kw_only=True):
    """An organization with the token of its first admin key, which is shown this once."""

    token: str | None


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project: it owns jobs and runs."""

    id: str
    org_id: str
    slug: str
    name: str
    weight: float
    max_concurrency: int | None
    retention_days: float | None
    created_at: str


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user of an organization."""

    id: str
    org_id: str
    name: str
    email: str | None
    enabled: bool
    subject: str | None
    created_at: str


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A user's role in a project, or in the whole organization (`project_id` null), with the scopes that it gives."""

    id: str
    org_id: str
    project_id: str | None
    user_id: str
    role: Role
    scopes: list[str]
    created_at: str
    created_by: str


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, of a user or of a service; its token is not in it."""

    id: str
    name: str
    prefix: str
    org_id: str
    project_id: str | None
    user_id: str | None
    service: bool
    scopes: list[str]
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    rotated_to: str | None


class CreatedKey(Key, frozen=True, kw_only=True):
    """A key with its token, which is shown this once; null where an idempotency key found the key."""

    token: str | None


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking: the organization, the project that the caller is bound to, the user if there is one, the scopes.

    `role` is that of the membership which bounds the scopes; null for a service, and for a user who never was a member.
    """

    kind: str
    actor: str
    organization: Organization
    project: Project | None
    user: User | None
    key: Key | None
    role: Role | None
    memberships: list[Member]
    scopes: list[str]
    expires_at: str | None


class CreateOrganizationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new organization; without a slug the name suggests it, without a name it is the slug."""

    slug: Slug | None = None
    name: Name | None = None


class UpdateOrganizationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of the organization."""

    name: Name | UnsetType = UNSET


class CreateProjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new project; without a slug the name suggests it, without a name it is the slug."""

    slug: Slug | None = None
    name: Name | None = None
    weight: Annotated[Weight, Meta(description="Its share of a queue that projects compete for.")] = 1.0
    max_concurrency: Annotated[Slots | None, Meta(description="Most runs that execute at a time.")] = None
    retention_days: Retention | None = None


class UpdateProjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a project; it acts on runs that are made from now on, but retention on all that have ended."""

    name: Name | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    max_concurrency: Slots | UnsetType | None = UNSET
    retention_days: Retention | UnsetType | None = UNSET


class CreateUserRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new user."""

    name: Name
    email: Email | None = None
    subject: Subject | None = None


class UpdateUserRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a user; one that is not enabled has no valid key from that moment on."""

    name: Name | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    subject: Subject | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class CreateMemberRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role for a user: in one project, or without one in the whole organization."""

    user_id: str
    role: Role
    project_id: Annotated[str | None, Meta(description="The project, by id or slug.")] = None


class UpdateMemberRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another role for a member; it counts from now on, for JWTs and keys alike."""

    role: Role


class CreateKeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new key: the caller's own, another user's (`user_id`, needs `admin`) or a service's."""

    name: Name
    scopes: Scopes
    org_id: Annotated[str | None, Meta(description="The caller's organization; no other.")] = None
    project_id: Annotated[str | None, Meta(description="Bind the key to one project, by id or slug.")] = None
    user_id: str | None = None
    service: bool = False
    expires_at: Instant | None = None


class RotateKeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to replace a key; it lives as long as the old one was made for, unless `expires_at` says otherwise."""

    grace_s: Annotated[
        float, Meta(ge=0, le=GRACE_MAX_S, description="Seconds that the old key is valid for; at most 30 days.")
    ] = GRACE_S
    expires_at: Instant | None = None
