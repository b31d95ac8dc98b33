"""Who has what: organizations, their projects and users, and the API keys that act for them."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

# `$` alone would let a line break at the end pass; JSON Schema knows no `\Z`.
END = r"(?!\n)$"
SLUG = r"^[a-z0-9][a-z0-9_-]{0,127}" + END

Slug = Annotated[str, Meta(pattern=SLUG, description="Lower-case letters, digits, - and _; at most 128.")]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Weight = Annotated[float, Meta(ge=0.001, le=1000)]
Slots = Annotated[int, Meta(ge=1, le=1_000_000)]


class Organization(msgspec.Struct, frozen=True):
    """A tenant: nobody outside of it sees anything that is in it."""

    org_id: str
    slug: str
    name: str
    created_at: int


class Project(msgspec.Struct, frozen=True):
    """A part of an organization that owns jobs and runs.

    `weight` is its share of a queue that projects compete for; `max_concurrency` bounds its executing runs.
    """

    project_id: str
    org_id: str
    slug: str
    name: str
    weight: float
    max_concurrency: int | None
    created_at: int


class User(msgspec.Struct, frozen=True):
    """A person of an organization; once it is not `enabled`, none of its keys is valid."""

    user_id: str
    org_id: str
    name: str
    email: str | None
    enabled: bool
    created_at: int


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
