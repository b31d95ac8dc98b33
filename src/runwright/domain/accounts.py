"""Who has what: organizations, their projects, users and members, and the API keys that act for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from runwright.domain.tenancy import Role
from runwright.errors import Denied

# `$` alone would let a line break at the end pass; JSON Schema knows no `\Z`.
END = r"(?!\n)$"
SLUG = r"^[a-z0-9][a-z0-9_-]{0,127}" + END
SLUG_MAX = 128

Slug = Annotated[str, Meta(pattern=SLUG, description="Lower-case letters, digits, - and _; at most 128.")]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Weight = Annotated[float, Meta(ge=0.001, le=1000)]
Days = Annotated[float, Meta(gt=0, le=36_500)]
Slots = Annotated[int, Meta(ge=1, le=1_000_000)]


class Organization(msgspec.Struct, frozen=True):
    """A tenant: nobody outside of it sees anything that is in it."""

    org_id: str
    slug: str
    name: str
    created_at: int


class Project(msgspec.Struct, frozen=True):
    """A part of an organization that owns jobs and runs.

    `weight` is its share of a queue that projects compete for; `max_concurrency` bounds its executing runs. The logs of
    its ended runs are kept for `retention_days`, where the server keeps them no shorter; None: as long as the server.
    """

    project_id: str
    org_id: str
    slug: str
    name: str
    weight: float
    max_concurrency: int | None
    created_at: int
    retention_days: float | None = None


class User(msgspec.Struct, frozen=True):
    """A person of an organization; once it is not `enabled`, no key and no login of theirs is valid.

    `subject` is who they are at the OIDC issuer `issuer`, if they may come from there.
    """

    user_id: str
    org_id: str
    name: str
    email: str | None
    enabled: bool
    created_at: int
    issuer: str | None = None
    subject: str | None = None


class Member(msgspec.Struct, frozen=True):
    """A user's role in a project, or in the whole organization where `project_id` is None."""

    member_id: str
    org_id: str
    project_id: str | None
    user_id: str
    role: Role
    created_at: int
    created_by: str


class Membership(NamedTuple):
    """What a user's scopes come from; one that was `removed` gives none, and still keeps them from being free."""

    role: Role
    project_id: str | None
    removed: bool


class Reach(NamedTuple):
    """The role that counts, and the one project that it is good for; None for all of the organization."""

    role: Role
    project_id: str | None


def reach(memberships: Sequence[Membership], wanted: str | None) -> Reach:
    """Return what a user with these memberships reaches, in the project `wanted` if one is named.

    A role in the organization counts everywhere, whatever roles there are beside it. Without one, the only project's
    counts. Raises `Denied` for a user who is no member there, or who must say which of several projects they mean.
    """
    there = [each for each in memberships if not each.removed]
    whole = next((each for each in there if each.project_id is None), None)
    if whole is not None:
        return Reach(whole.role, wanted)
    inside = [each for each in there if wanted in (None, each.project_id)]
    if len(inside) > 1:
        raise Denied(
            "You are a member of several projects; name one in the header X-Project-Id.",
            code="auth.choose_project",
            data={"projects": [each.project_id for each in inside]},
        )
    if not inside:
        raise Denied(
            "You are a member of nothing here; ask an admin for a membership (POST /v1/members).",
            code="auth.not_a_member",
        )
    return Reach(inside[0].role, inside[0].project_id)


class ApiKey(msgspec.Struct, frozen=True):
    """A credential of a user, or of a service when `user_id` is None; the token itself is nowhere.

    It is valid until `expires_at` or until it was revoked; `rotated_to` names the key that replaces it.
    """

    key_id: str
    org_id: str
    project_id: str | None
    user_id: str | None
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: int
    created_by: str
    expires_at: int | None = None
    revoked_at: int | None = None
    rotated_to: str | None = None

    def valid(self, at: int) -> bool:
        """Tell whether the key may be used at the instant `at` (µs)."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


def slug_of(name: str) -> str:
    """Return the slug that a name suggests; empty where it has neither a letter nor a digit of ASCII."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:128].rstrip("-")
