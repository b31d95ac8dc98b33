"""Which models the routes of projects lead to, at which price, and whether this server can ask them."""

from __future__ import annotations

import msgspec

from runwright.agents.pricing import facts_of
from runwright.agents.providers import installed
from runwright.agents.providers.port import LocalBounds
from runwright.agents.providers.scripted import ECHO
from runwright.agents.routes import Routes
from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.accounts import Project
from runwright.domain.price import Price
from runwright.domain.route import KEYED, Route
from runwright.domain.tenancy import Actor
from runwright.store.queries.shapes import Slice


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a route. A price of None is not known; `problem` says what is missing, None: it can be asked."""

    route: Route
    price: Price | None
    context_window: int
    problem: str | None


class Models:
    """Finds out about models; none is asked or loaded."""

    def __init__(self, routes: Routes, settings: Settings, clock: Clock) -> None:
        self._routes = routes
        self._local = LocalBounds.of(settings)
        self._scripts = settings.model_scripts
        self._clock = clock

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[KnownModel]:
        """Return the models of the routes of a project, or of all that the caller may see."""
        return [await self._known(actor, route) for route in await self._routes.page(actor, project, part)]

    async def _known(self, actor: Actor, route: Route) -> KnownModel:
        definition = route.definition
        provider = await self._routes.provider_of(actor, route)
        facts = await facts_of(
            definition.kind,
            definition.model,
            None if provider is None else provider.base_url,
            now_us=self._clock.now(),
            local_context=self._local.context,
        )
        problem = installed.missing(definition.kind, self._local)
        if problem is None and definition.kind in KEYED and provider is None:
            problem = "Its provider is gone; give the route another."
        if problem is None and definition.kind == "scripted" and definition.model != ECHO and self._scripts is None:
            problem = "There are no scripts: name a file as RUNWRIGHT_MODEL_SCRIPTS."
        return KnownModel(
            route=route,
            price=facts.price if definition.price is None else definition.price.price(),
            context_window=min(definition.context_window, facts.context_tokens or definition.context_window),
            problem=problem,
        )
