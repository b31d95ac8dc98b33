"""The shapes of personas, routes and providers on the wire; no answer has a provider's key."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.api.pages import PageQuery
from runwright.api.threads.schemas import ProjectIdent
from runwright.domain.agent_terms import OnExceeded, Risk, Tool
from runwright.domain.model_call import ProviderKind
from runwright.domain.persona import PersonaDefinition, PersonaKey
from runwright.domain.route import (
    BaseUrl,
    ContextWindow,
    Model,
    ProviderName,
    RouteFields,
    RouteName,
    RouteRates,
    Secret,
)


class InProjectQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a name belongs to."""

    project_id: ProjectIdent | None = None


class OfProjectQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of a list; without it, all that the caller may see."""

    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None


class PersonaListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of a list of personas; `key` needs a project, the key's own or one that is named."""

    project_id: Annotated[str | None, Meta(description="Those of one project, by id or slug.")] = None
    key: PersonaKey | None = None


class CreatePersonaRequest(PersonaDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next version of a persona."""

    key: PersonaKey
    project_id: ProjectIdent | None = None


class PersonaBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How much a run may use, at most; null is no limit."""

    cost_microusd: int | None
    tokens: int | None
    turns: int | None
    tool_calls: int | None
    wall_s: int | None
    on_exceeded: OnExceeded | None


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a persona; it never changes. `persona_id` is `key@version`.

    `prompt` is null for who may not read what models are told: it needs `prompts:read`.
    """

    id: str
    persona_id: str
    key: str
    version: int
    org_id: str
    project_id: str
    prompt: str | None
    description: str
    route: str | None
    model: str | None
    tools: list[Tool] | None
    denied_tools: list[Tool]
    temperature: float | None
    risk_threshold: Risk | None
    answer_within_s: int | None
    budget: PersonaBudget
    created_at: str
    created_by: str


class CreateRouteRequest(RouteFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new route of a project; without `context_window` it gets what its model is known to take, else 131072."""

    name: RouteName
    context_window: ContextWindow | None = None
    project_id: ProjectIdent | None = None


class UpdateRouteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a route; a field that is named is replaced whole."""

    kind: ProviderKind | UnsetType = UNSET
    model: Model | UnsetType = UNSET
    provider: ProviderName | UnsetType | None = UNSET
    price: RouteRates | UnsetType | None = UNSET
    max_output_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType = UNSET
    context_window: ContextWindow | UnsetType = UNSET


class RoutePrice(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in micro-USD per million tokens; `cached` of null is that of all input."""

    input: int
    cached: int | None
    output: int


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A way to a model."""

    id: str
    route_id: str
    name: str
    org_id: str
    project_id: str
    kind: str
    model: str
    provider: str | None
    price: RoutePrice | None
    max_output_tokens: int
    context_window: int
    created_at: str
    created_by: str
    updated_at: str


class PriceStep(msgspec.Struct, frozen=True, kw_only=True):
    """Other prices for the whole of a call whose prompt has more than `above` tokens."""

    above: int
    input: int
    cached: int
    output: int


class ModelPrice(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in micro-USD per million tokens; `source` names the table that has them, or the route."""

    input: int
    cached: int
    output: int
    source: str
    steps: list[PriceStep]


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a route. A price of null is not known; `context_window` is what fits, prompt and answer together.

    `ready`: this server has what it takes to ask it; else `problem` says what to do.
    """

    id: str
    route_id: str
    route: str
    project_id: str
    kind: str
    model: str
    provider: str | None
    price: ModelPrice | None
    context_window: int
    max_output_tokens: int
    ready: bool
    problem: str | None


class CreateProviderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new provider of a project, with its key."""

    name: ProviderName
    kind: Literal["openai", "openai-compatible", "anthropic"]
    api_key: Secret
    base_url: BaseUrl | None = None
    project_id: ProjectIdent | None = None


class ReplaceKeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new key of a provider."""

    api_key: Secret


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a provider but its key; `version` counts its keys."""

    id: str
    provider_id: str
    name: str
    org_id: str
    project_id: str
    kind: str
    base_url: str | None
    version: int
    created_at: str
    created_by: str
    updated_at: str
