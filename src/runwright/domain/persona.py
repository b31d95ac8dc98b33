"""Personas: whom an agent run speaks as, in versions that never change."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.domain.accounts import END
from runwright.domain.agent_terms import Budget, Risk, Tool
from runwright.domain.route import RouteName

KEY = r"^[a-z0-9][a-z0-9_-]{0,63}" + END
PersonaKey = Annotated[str, Meta(pattern=KEY, description="Lower-case letters, digits, - and _; at most 64.")]
DEFAULT = "default"
"""The key of the persona that every project has from the beginning."""

_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})(?:@([1-9][0-9]{0,8}))?")


class PersonaDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a persona that a user decides.

    `prompt` is what the model is told first. A `route` names whom to ask, a `model` another one there. Of all tools it
    allows `tools` (None: every one), but never those in `denied_tools`; a call at or above `risk_threshold` is to be
    confirmed. A question that nobody answers for `answer_within_s` ends its run; None: it waits for ever.
    """

    prompt: Annotated[str, Meta(max_length=65_536)] = ""
    description: Annotated[str, Meta(max_length=2000)] = ""
    route: RouteName | None = None
    model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    tools: Annotated[tuple[Tool, ...], Meta(max_length=64)] | None = None
    denied_tools: Annotated[tuple[Tool, ...], Meta(max_length=64)] = ()
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    risk_threshold: Risk | None = None
    answer_within_s: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None
    budget: Budget = Budget()


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a persona."""

    persona_version_id: str
    org_id: str
    project_id: str
    key: str
    version: int
    definition: PersonaDefinition
    created_at: int
    created_by: str

    @property
    def persona_id(self) -> str:
        """Return `key@version`: what runs pin."""
        return f"{self.key}@{self.version}"


def reference(text: str) -> tuple[str, int | None] | None:
    """Return the key and the version that a text names, no version for the latest; None for what names nothing."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    return found[1], None if found[2] is None else int(found[2])
