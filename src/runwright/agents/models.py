"""Which models the routes of projects lead to, at which price, and whether this server can ask them."""

from __future__ import annotations

import msgspec

from runwright.agents.pricing import Facts, facts_of
from runwright.agents.providers import installed
from runwright.agents.providers.port import LocalBounds
from runwright.agents.providers.scripted import ECHO
from runwright.agents.routes import Routes
from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.accounts import Project
from runwright.domain.catalog import Reason, allowed
from runwright.domain.context_window import CONTEXT
from runwright.domain.model_call import ProviderKind
from runwright.domain.price import Price
from runwright.domain.route import (
    CONTEXT_MAX,
    CONTEXT_MIN,
    KEYED,
    Provider,
    Route,
    RouteDefinition,
    RouteFields,
)
from runwright.domain.tenancy import Actor
from runwright.store.queries.shapes import Slice


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a route. A price of None is not known; `missing` and `problem` say what it lacks, if it does."""

    route: Route
    price: Price | None
    context_window: int
    missing: Reason | None
    problem: str | None


class Models:
    """Finds out about models; none is asked or loaded."""

    def __init__(self, routes: Routes, settings: Settings, clock: Clock) -> None:
        self._routes = routes
        self._local = LocalBounds.of(settings)
        self._scripts = settings.model_scripts
        self._policy = settings.model_policy
        self._clock = clock

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[KnownModel]:
        """Return the models of the routes of a project, or of all that the caller may see."""
        return [await self._known(actor, route) for route in await self._routes.page(actor, project, part)]

    async def defined(
        self, actor: Actor, project: Project, said: RouteFields, context_window: int | None
    ) -> RouteDefinition:
        """Return a route as it is decided: with the context that its model is known to take, where none is said."""
        given = {name: getattr(said, name) for name in RouteFields.__struct_fields__}
        if context_window is None:
            provider = await self._routes.provider_named(actor, project.project_id, said.provider)
            facts = await self._facts(said.kind, said.model, provider)
            context_window = min(facts.context_tokens or CONTEXT, CONTEXT_MAX)
        return RouteDefinition(**given, context_window=max(context_window, CONTEXT_MIN))

    async def _facts(self, kind: ProviderKind, model: str, provider: Provider | None) -> Facts:
        base_url = None if provider is None else provider.base_url
        now_us, local = self._clock.now(), self._local.context
        return await facts_of(kind, model, base_url, now_us=now_us, local_context=local)

    async def _known(self, actor: Actor, route: Route) -> KnownModel:
        definition = route.definition
        provider = await self._routes.provider_of(actor, route)
        facts = await self._facts(definition.kind, definition.model, provider)
        missing, problem = self._missing(definition, provider)
        return KnownModel(
            route=route,
            price=facts.price if definition.price is None else definition.price.price(),
            context_window=facts.context_within(definition.context_window),
            missing=missing,
            problem=problem,
        )

    def _missing(self, definition: RouteDefinition, provider: Provider | None) -> tuple[Reason | None, str | None]:
        told = installed.missing(definition.kind, self._local)
        if told is not None:
            return "NOT_INSTALLED", told
        if definition.kind in KEYED and provider is None:
            return "NO_PROVIDER", "Its provider is gone; give the route another."
        if definition.kind == "scripted" and definition.model != ECHO and self._scripts is None:
            return "NO_SCRIPTS", "There are no scripts: name a file as RUNWRIGHT_MODEL_SCRIPTS."
        if not allowed(self._policy, definition.kind, definition.model):
            return "POLICY_DENIED", "The server's policy (RUNWRIGHT_MODEL_POLICY) does not allow it."
        return None, None
