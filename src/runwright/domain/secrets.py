"""Environments and secrets: what the code of a project's jobs is given beside its payload."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.domain.accounts import END, Slug
from runwright.domain.spellings import LEAST_CHARACTERS

Variable = Annotated[
    str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}" + END, description="A letter or _, then letters, digits and _.")
]
Variables = Annotated[dict[Variable, Annotated[str, Meta(max_length=4096)]], Meta(max_length=200)]
EnvironmentName = Annotated[Slug, Meta(description="The name of an environment of the project.")]
SecretValue = Annotated[
    str,
    Meta(
        min_length=LEAST_CHARACTERS, max_length=4096, description="Write-only: it is never returned, and never logged."
    ),
]

EVERYWHERE = ""
"""Stands for the environment of a secret that all jobs of the project are given."""

_LINE_CHARACTERS = 12
"""Lines of a secret that are at least so long are secrets by themselves, too: a key is often printed line by line."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of variables, and of the secrets that belong to it; a job may name one."""

    environment_id: str
    org_id: str
    project_id: str
    name: str
    description: str
    variables: dict[str, str]
    created_at: int
    created_by: str
    updated_at: int


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a secret but its value; `version` counts its values. `environment_id` may be `EVERYWHERE`."""

    secret_id: str
    org_id: str
    project_id: str
    environment_id: str
    name: str
    version: int
    created_at: int
    created_by: str
    updated_at: int


class Provision(msgspec.Struct, frozen=True):
    """What an attempt is given: values of secrets, and variables, by name."""

    secrets: dict[str, str]
    variables: dict[str, str]


NOTHING = Provision({}, {})


def hidden(value: str) -> list[str]:
    """Return what must be shown nowhere because of a secret: itself, and each long line of it."""
    lines = [line.strip() for line in value.splitlines()]
    return [value, *(line for line in lines if len(line) >= _LINE_CHARACTERS and line != value)]
