"""Which model the agent steps of a run have: chosen when the run is created, pinned with its price and its tools."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from runwright.agents.agents import Agents
from runwright.agents.orders import AgentOrder
from runwright.domain.accounts import Project
from runwright.domain.agent_terms import Budget
from runwright.domain.catalog import Needs, choose
from runwright.domain.runtime_terms import AgentStep, RuntimeTerms
from runwright.domain.tenancy import Actor
from runwright.errors import Conflict, InvalidRequest

AUTO = "auto"
NEEDS = Needs(capabilities=("tools",))


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """Which models a run asks: `orchestrator` is a route, or `auto`; None: that of the project's own persona."""

    orchestrator: str | None = None


async def with_model(
    agents: Agents, actor: Actor, project: Project, terms: RuntimeTerms, asked: Models
) -> RuntimeTerms:
    """Return the terms with the model that their agent steps have; they stay as they are where there are none.

    The project's default persona speaks: what it may not do, no step may, and of two limits the smaller holds. Raises
    `InvalidRequest`, `NotFound` for an unknown route, `Conflict` where no model may be asked or a limit of money cannot
    be kept, and `Denied` for a model that the server's policy does not allow.
    """
    if not any(isinstance(step, AgentStep) for step in terms.steps):
        if asked.orchestrator is not None:
            raise InvalidRequest.at("models.orchestrator", "is asked by steps of the kind agent, and there is none")
        return terms
    return await agent_of(agents, actor, project, terms, asked)


async def agent_of(agents: Agents, actor: Actor, project: Project, terms: RuntimeTerms, asked: Models) -> RuntimeTerms:
    """Return the terms with a model, within the limits of the persona that speaks. Raises what `with_model` raises."""
    order = AgentOrder()
    if asked.orchestrator is not None:
        name = asked.orchestrator
        if name == AUTO:
            name = await _chosen(agents, actor, project, priced=terms.budget.cost_microusd is not None)
        route = await agents.routes.find(actor, project, name)
        order = AgentOrder(route_id=route.route_id, model=route.definition.model)
    agent = await agents.terms.of(actor, project, None, order)
    limits = replace(terms.budget.within(agent.budget), turns=None, on_exceeded=None)
    if limits.cost_microusd is not None and agent.price is None:
        raise Conflict(
            f"the price of {agent.provider}/{agent.model} is not known, so no limit of money can be kept: "
            "give its route a price, name another, or leave the limit out",
            code="budget.unpriced",
        )
    tools = tuple(tool for tool in agent.tools if tool in terms.tools)
    agent = replace(agent, tools=tools, budget=Budget(turns=agent.budget.turns))
    return replace(terms, agent=agent, budget=limits)


async def _chosen(agents: Agents, actor: Actor, project: Project, *, priced: bool) -> str:
    """Return the route that `auto` stands for at this moment."""
    catalog = await agents.catalogs.of(actor, project)
    known = (entry.candidate for entry in catalog.entries)
    name = choose((each for each in known if not priced or each.price is not None), "orchestrator", NEEDS)
    if name is None:
        raise Conflict(
            "no model of this project may be asked: GET /api/v1/models/catalog says why; add a route, or name one",
            code="models.none",
        )
    return name
