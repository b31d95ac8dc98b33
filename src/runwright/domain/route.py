"""Routes and providers: which model an agent run asks, at which price, and with whose credentials."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.domain.accounts import Slug
from runwright.domain.addresses import URL_MAX
from runwright.domain.context_window import CONTEXT
from runwright.domain.model_call import ProviderKind
from runwright.domain.price import Price, Rates

KEYED: frozenset[str] = frozenset({"openai", "openai-compatible", "anthropic"})
"""The kinds that are reached over the network, with credentials that a project keeps."""

RouteName = Annotated[Slug, Meta(description="The name of a route of the project.")]
ProviderName = Annotated[Slug, Meta(description="The name of a provider of the project.")]
Secret = Annotated[
    str,
    Meta(min_length=4, max_length=4096, description="Write-only: it is never returned, and never logged."),
]
BaseUrl = Annotated[str, Meta(max_length=URL_MAX, description="An http:// or https:// address in place of the usual.")]
Model = Annotated[str, Meta(min_length=1, max_length=256)]
CONTEXT_MIN, CONTEXT_MAX = 1024, 10_000_000
ContextWindow = Annotated[int, Meta(ge=CONTEXT_MIN, le=CONTEXT_MAX)]
_Rate = Annotated[int, Meta(ge=0, le=10**12)]

LOCAL = "local"
"""The name and the kind of the route that every project has from the beginning: a model in the server's own process."""
LOCAL_MODEL = "smollm2-135m-instruct"


class RouteRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices in micro-USD per million tokens: of a prompt, of its cached part, of an answer."""

    input: _Rate
    cached: _Rate | None = None
    output: _Rate

    def price(self) -> Price:
        """Return the price that they make."""
        cached = self.input if self.cached is None else self.cached
        return Price(rates=Rates(input=self.input, cached=cached, output=self.output), source="route")


class RouteFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user says of a route.

    `provider` names the credentials of a kind that needs some. Without `price` the table of known prices is asked, and
    what stands in neither is unknown.
    """

    kind: ProviderKind
    model: Model
    provider: ProviderName | None = None
    price: RouteRates | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024


class RouteDefinition(RouteFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a route that is decided; `context_window` is what fits, prompt and answer together."""

    context_window: ContextWindow = CONTEXT


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A way to a model."""

    route_id: str
    org_id: str
    project_id: str
    name: str
    definition: RouteDefinition
    created_at: int
    created_by: str
    updated_at: int


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a provider's credentials but the secret; `version` counts its values, 0 for none."""

    provider_id: str
    org_id: str
    project_id: str
    name: str
    kind: str
    base_url: str | None
    version: int
    created_at: int
    created_by: str
    updated_at: int


def problem(definition: RouteDefinition, provider: Provider | None) -> tuple[str, str] | None:
    """Return which field of a route cannot be, given the provider that it names, and why."""
    if definition.kind not in KEYED:
        return ("provider", f"a route of the kind {definition.kind} needs no provider") if definition.provider else None
    if provider is None:
        return "provider", "names no provider of the project; create it first"
    if provider.kind != definition.kind:
        return "kind", f"the provider is of the kind {provider.kind}"
    return None


LOCAL_ROUTE = RouteDefinition(
    kind="local", model=LOCAL_MODEL, price=RouteRates(input=0, output=0), max_output_tokens=512, context_window=4096
)
