"""The route of models: what the routes of a project lead to, as this server knows it."""

from __future__ import annotations

import msgspec

from runwright.agents.models import KnownModel
from runwright.api.context import Call
from runwright.api.pages import Page
from runwright.api.routing import Routes
from runwright.api.slices import part
from runwright.api.threads import persona_schemas as wire
from runwright.api.threads.personas import NOWHERE, READ
from runwright.api.threads.threads import named_project

routes = Routes("agents")


@routes.get("/v1/models", scope=READ, answers=NOWHERE, summary="List models")
async def list_models(call: Call, query: wire.OfProjectQuery) -> Page[wire.KnownModel]:
    """List the models of the routes of a project, or of all that the caller may see, with their prices.

    `problem` says what this server lacks to ask one: an extra, the local model, a provider.
    """
    window = query.window(call.services.settings, order="desc")
    project = await named_project(call, query.project_id)
    rows = await call.services.agents.models.page(call.actor, project, part(window, "route"))
    return Page.of(rows, window, _model, lambda row: row.route.route_id)


def _model(known: KnownModel) -> wire.KnownModel:
    route, definition, price = known.route, known.route.definition, known.price
    shown = None
    if price is not None:
        steps = [wire.PriceStep(above=step.above, **msgspec.structs.asdict(step.rates)) for step in price.steps]
        shown = wire.ModelPrice(**msgspec.structs.asdict(price.rates), source=price.source, steps=steps)
    return wire.KnownModel(
        id=route.route_id,
        route_id=route.route_id,
        route=route.name,
        project_id=route.project_id,
        kind=definition.kind,
        model=definition.model,
        provider=definition.provider,
        price=shown,
        context_window=known.context_window,
        max_output_tokens=definition.max_output_tokens,
        ready=known.problem is None,
        problem=known.problem,
    )
