"""The rules of who may hand on what: nobody gives away more than they hold."""

from __future__ import annotations

from collections.abc import Iterable

from runwright.domain.accounts import ApiKey
from runwright.domain.tenancy import SCOPES, Actor
from runwright.errors import Denied, FieldError, InvalidRequest, NotFound

MINTERS = frozenset({"user", "service"})
"""The kinds of actors that may make keys; the tokens of runs and agents never do."""


def require_org(actor: Actor, scope: str) -> None:
    """Let a caller change what belongs to the whole organization. Raises `MissingScope` or `Denied`."""
    actor.require(scope)
    if actor.project_id is not None:
        raise Denied("This key is bound to one project; what belongs to the organization needs a key that is not.")


def known_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return scopes sorted and once each. Raises `InvalidRequest` naming each that does not exist."""
    given = list(scopes)
    wrong = [
        FieldError(f"scopes[{place}]", "is no scope; there are " + ", ".join(SCOPES))
        for place, scope in enumerate(given)
        if scope not in SCOPES
    ]
    if wrong:
        raise InvalidRequest(fields=wrong)
    return tuple(sorted(set(given)))


def require_may_give(actor: Actor, scopes: Iterable[str], project_id: str | None, user_id: str | None) -> None:
    """Let a caller give a token to someone: never more scopes than its own, a wider reach, or another's name.

    Raises `MissingScope` for a scope that the caller lacks, or for `admin` when the name is another user's.
    """
    actor.require("keys:manage")
    if actor.kind not in MINTERS:
        raise Denied("Only users and services handle keys.")
    for scope in scopes:
        actor.require(scope)
    if actor.project_id is not None and project_id != actor.project_id:
        raise Denied("This key is bound to one project and can only handle keys of that project.")
    if user_id is not None and user_id != actor.user_id:
        actor.require("admin")


def require_sees_key(actor: Actor, key: ApiKey | None, key_id: str) -> ApiKey:
    """Return a key of the caller's organization and, for a bound caller, of its project. Raises `NotFound`."""
    if key is None or key.org_id != actor.org_id or actor.project_id not in (None, key.project_id):
        raise NotFound("key", key_id)
    return key
