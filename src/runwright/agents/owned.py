"""What the verbs of personas, routes and providers have in common: find one of a project by its name or its id."""

from __future__ import annotations

from typing import Protocol, TypeVar

from runwright.domain.tenancy import Actor
from runwright.errors import NotFound
from runwright.errors.tree import Noun


class Owned(Protocol):
    """Something that belongs to a project."""

    @property
    def org_id(self) -> str:
        """Its organization."""
        ...

    @property
    def project_id(self) -> str:
        """Its project."""
        ...


T = TypeVar("T", bound=Owned)


def required(actor: Actor, found: T | None, noun: Noun, ident: str, project_id: str | None = None) -> T:
    """Return what was found, if it is the caller's to see and of the project. Raises `NotFound`."""
    if found is None or not actor.sees(found.org_id, found.project_id):
        raise NotFound(noun, ident)
    if project_id is not None and found.project_id != project_id:
        raise NotFound(noun, ident)
    return found
