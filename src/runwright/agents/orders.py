"""From what a caller asks of an agent run to its terms: persona, route, model, tools and budget, checked and pinned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runwright.agents.personas import Personas
from runwright.agents.pricing import facts_of
from runwright.agents.routes import Routes
from runwright.clock import Clock
from runwright.domain.accounts import Project
from runwright.domain.agent_terms import TOOLS, AgentTerms, Budget, Tool
from runwright.domain.catalog import allowed
from runwright.domain.persona import DEFAULT, Persona
from runwright.domain.price import Price
from runwright.domain.route import KEYED, LOCAL, Route
from runwright.domain.tenancy import Actor
from runwright.domain.thread import OnBusy, Thread, UserPart
from runwright.errors import Conflict, Denied, InvalidRequest


class AgentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks of one agent run; what is not said is the thread's, else the project's default."""

    route_id: str | None = None
    persona_id: str | None = None
    model: str | None = None
    input: tuple[UserPart, ...] = ()
    budget: Budget | None = None
    tools: tuple[Tool, ...] | None = None
    metadata: dict[str, str] = {}
    on_busy: OnBusy = "reject"
    idempotency_key: str | None = None
    retry_of: str | None = None
    takes_back: bool = False

    def fingerprint(self) -> dict[str, Any]:
        """Return what makes two requests one."""
        return msgspec.structs.asdict(self) | {"idempotency_key": None, "retry_of": None}


class Terms:
    """Works terms out."""

    def __init__(
        self, personas: Personas, routes: Routes, clock: Clock, local_context: int, policy: Sequence[str] = ()
    ) -> None:
        self._personas = personas
        self._routes = routes
        self._clock = clock
        self._local_context = local_context
        self._policy = policy

    async def of(self, actor: Actor, project: Project, thread: Thread | None, order: AgentOrder) -> AgentTerms:
        """Return the terms of a run; without a thread they are those of a run that has none.

        Raises `NotFound` for an unknown persona or route, `InvalidRequest`, and `Denied` (`models.not_allowed`) for a
        model that the server's policy does not allow.
        """
        persona = await self._personas.find(
            actor, project, order.persona_id or (thread and thread.persona_id) or DEFAULT
        )
        definition = persona.definition
        named = order.route_id or (thread and thread.route_id) or definition.route or LOCAL
        route = await self._routes.find(actor, project, named)
        provider = await self._routes.provider_of(actor, route)
        if route.definition.kind in KEYED and provider is None:
            raise Conflict(
                f"the route {route.name!r} names a provider that is gone; give it another", code="routes.no_provider"
            )
        model = order.model or definition.model or route.definition.model
        if not allowed(self._policy, route.definition.kind, model):
            raise Denied(
                f"the server's policy does not allow the model {route.definition.kind}/{model}; choose another route",
                code="models.not_allowed",
            )
        facts = await facts_of(
            route.definition.kind,
            model,
            None if provider is None else provider.base_url,
            now_us=self._clock.now(),
            local_context=self._local_context,
        )
        price = _price(route, model)
        return AgentTerms(
            thread_id="" if thread is None else thread.thread_id,
            persona_id=persona.persona_id,
            route_id=route.route_id,
            provider=route.definition.kind,
            model=model,
            credential_id=None if provider is None else provider.provider_id,
            price=facts.price if price is None else price,
            max_output_tokens=route.definition.max_output_tokens,
            context_window=facts.context_within(route.definition.context_window),
            temperature=definition.temperature,
            tools=_tools(persona, order),
            risk_threshold=definition.risk_threshold,
            answer_within_s=definition.answer_within_s,
            budget=definition.budget if order.budget is None else order.budget.within(definition.budget),
            retry_of=order.retry_of,
        )


def _price(route: Route, model: str) -> Price | None:
    """Return the price of a model: the route's own is that of the route's model alone."""
    price = route.definition.price
    return price.price() if price is not None and model == route.definition.model else None


def _tools(persona: Persona, order: AgentOrder) -> tuple[Tool, ...]:
    definition = persona.definition
    allowed = set(TOOLS if definition.tools is None else definition.tools) - set(definition.denied_tools)
    if order.tools is not None:
        beyond = sorted(set(order.tools) - allowed)
        if beyond:
            raise InvalidRequest.at("tools", f"the persona {persona.persona_id} does not allow {', '.join(beyond)}")
        allowed = set(order.tools)
    return tuple(tool for tool in TOOLS if tool in allowed)
