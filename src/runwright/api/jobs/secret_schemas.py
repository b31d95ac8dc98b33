"""The shapes of environments and secrets on the wire; no answer has a secret's value."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.api.jobs.job_schemas import ProjectIdent
from runwright.api.pages import PageQuery
from runwright.domain.job_options import Description
from runwright.domain.secrets import EnvironmentName, SecretValue, Variable, Variables

EnvironmentIdent = Annotated[str, Meta(description="An environment, by its id, or by its name in the project.")]


class InProjectQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a name belongs to."""

    project_id: ProjectIdent | None = None


class EnvironmentListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of a list of environments; without it, all that the caller may see."""

    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None


class SecretListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of a list of secrets; without them, all that the caller may see."""

    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None
    environment: Annotated[EnvironmentIdent | None, Meta(description="Those of one environment alone.")] = None


class CreateEnvironmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new environment of a project."""

    project_id: ProjectIdent | None = None
    name: EnvironmentName
    description: Description = ""
    variables: Variables = {}


class UpdateEnvironmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of an environment; a field that is named is replaced whole."""

    description: Description | UnsetType = UNSET
    variables: Variables | UnsetType = UNSET


class CreateSecretRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new secret of a project, or of one of its environments."""

    project_id: ProjectIdent | None = None
    environment: EnvironmentIdent | None = None
    name: Variable
    value: SecretValue


class ReplaceSecretRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new value of a secret."""

    value: SecretValue


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of variables, and of the secrets that belong to it."""

    id: str
    environment_id: str
    org_id: str
    project_id: str
    name: str
    description: str
    variables: dict[str, str]
    created_at: str
    created_by: str
    updated_at: str


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a secret but its value; `version` counts its values.

    Without an environment all jobs of the project are given it.
    """

    id: str
    secret_id: str
    org_id: str
    project_id: str
    environment_id: str | None
    name: str
    version: int
    created_at: str
    created_by: str
    updated_at: str
