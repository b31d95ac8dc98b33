"""The routes of personas, routes and providers."""

from __future__ import annotations

import msgspec

from runwright import ids
from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, idempotency_key
from runwright.api.pages import Page
from runwright.api.patches import given
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.api.threads import persona_schemas as wire
from runwright.api.threads.threads import named_project
from runwright.domain import persona as personas
from runwright.domain import route as domain
from runwright.domain.accounts import Project
from runwright.domain.addresses import url_problem
from runwright.domain.persona import PersonaDefinition
from runwright.domain.tenancy import Actor
from runwright.engine.kept_values import PROMPTS
from runwright.errors import InvalidRequest

routes = Routes("agents")
NOWHERE = {404: "The project is not the caller's"}
READ, MANAGE = "models:read", "agents:manage"
NAMED = {409: "Something names it"}


@routes.post(
    "/v1/personas",
    scope=MANAGE,
    status=201,
    headers=HEADERS,
    answers={200: "The latest version is the same already, or the key had made it", 409: MADE_BEFORE[409]} | NOWHERE,
    summary="Create a version of a persona",
)
async def create_persona(call: Call, body: wire.CreatePersonaRequest) -> Reply[wire.Persona]:
    """Create the next version of a persona. It never changes: runs pin it, and go on with it."""
    office = call.services
    project = await office.tenants.resolve_project(call.actor, body.project_id)
    if body.route is not None:
        await office.agents.routes.find(call.actor, project, body.route)
    definition = PersonaDefinition(**{name: getattr(body, name) for name in PersonaDefinition.__struct_fields__})
    made = await office.agents.personas.create(call.actor, project, body.key, definition, idempotency_key(call))
    return Reply(persona_view(made.value, call.actor), 200 if made.repeated else 201)


@routes.get("/v1/personas", scope=READ, answers=NOWHERE, summary="List personas")
async def list_personas(call: Call, query: wire.PersonaListQuery) -> Page[wire.Persona]:
    """List versions of personas, newest first: of one key, of a project, or all that the caller may see."""
    window = query.window(call.services.settings, order="desc")
    project = await named_project(call, query.project_id)
    if query.key is not None and project is None:
        project = await call.services.tenants.resolve_project(call.actor, None)
    rows = await call.services.agents.personas.page(call.actor, project, query.key, part(window, "per"))
    return Page.of(rows, window, lambda row: persona_view(row, call.actor), lambda row: row.persona_version_id)


@routes.get("/v1/personas/{persona}", scope=READ, summary="Get a persona")
async def get_persona(call: Call, persona: str, query: wire.InProjectQuery) -> wire.Persona:
    """Return `key@version`, or the latest version of a `key`."""
    project = await call.services.tenants.resolve_project(call.actor, query.project_id)
    return persona_view(await call.services.agents.personas.find(call.actor, project, persona), call.actor)


@routes.post(
    "/v1/routes",
    scope=MANAGE,
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | NOWHERE | {429: "The project has as many routes as it may"},
    summary="Create a route",
)
async def create_route(call: Call, body: wire.CreateRouteRequest) -> Reply[wire.Route]:
    """Create a way to a model, with the credentials of a provider where that needs some."""
    project = await call.services.tenants.resolve_project(call.actor, body.project_id)
    definition = await call.services.agents.models.defined(call.actor, project, body, body.context_window)
    verbs = call.services.agents.routes
    made = await verbs.create(call.actor, project, body.name, definition, idempotency_key(call))
    return Reply(route_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/routes", scope=READ, answers=NOWHERE, summary="List routes")
async def list_routes(call: Call, query: wire.OfProjectQuery) -> Page[wire.Route]:
    """List the routes of a project, or all that the caller may see; newest first."""
    window = query.window(call.services.settings, order="desc")
    project = await named_project(call, query.project_id)
    rows = await call.services.agents.routes.page(call.actor, project, part(window, "route"))
    return Page.of(rows, window, route_view, lambda row: row.route_id)


@routes.get("/v1/routes/{route}", scope=READ, summary="Get a route")
async def get_route(call: Call, route: str, query: wire.InProjectQuery) -> wire.Route:
    """Return a route by its id, or by its name in a project."""
    return route_view(await _route(call, route, query.project_id))


@routes.patch("/v1/routes/{route}", scope=MANAGE, summary="Change a route")
async def update_route(call: Call, route: str, body: wire.UpdateRouteRequest, query: wire.InProjectQuery) -> wire.Route:
    """Change the fields that are named; runs that are there keep the model and the price that they were made with."""
    found = await _route(call, route, query.project_id)
    return route_view(await call.services.agents.routes.update(call.actor, found, given(body)))


@routes.delete("/v1/routes/{route}", scope=MANAGE, status=204, answers=NAMED, summary="Delete a route")
async def delete_route(call: Call, route: str, query: wire.InProjectQuery) -> None:
    """Delete a route, but the one that every project has."""
    await call.services.agents.routes.delete(call.actor, await _route(call, route, query.project_id))


@routes.post(
    "/v1/providers",
    scope=MANAGE,
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | NOWHERE,
    summary="Create a provider",
)
async def create_provider(call: Call, body: wire.CreateProviderRequest) -> Reply[wire.Provider]:
    """Create a provider; its key is never returned. With several servers it answers when all of them hide it."""
    office = call.services
    project = await office.tenants.resolve_project(call.actor, body.project_id)
    if body.base_url is not None:
        wrong = url_problem(body.base_url, allow_private=office.settings.allow_private_endpoints)
        if wrong is not None:
            raise InvalidRequest.at("base_url", wrong)
    verbs, key = office.agents.credentials, idempotency_key(call)
    made = await verbs.create(call.actor, project, body.name, body.kind, body.base_url, body.api_key, key)
    return Reply(provider_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/providers", scope=READ, answers=NOWHERE, summary="List providers")
async def list_providers(call: Call, query: wire.OfProjectQuery) -> Page[wire.Provider]:
    """List the providers of a project, or all that the caller may see, without their keys; newest first."""
    window = query.window(call.services.settings, order="desc")
    project = await named_project(call, query.project_id)
    rows = await call.services.agents.credentials.page(call.actor, project, part(window, "prov"))
    return Page.of(rows, window, provider_view, lambda row: row.provider_id)


@routes.get("/v1/providers/{provider}", scope=READ, summary="Get a provider")
async def get_provider(call: Call, provider: str, query: wire.InProjectQuery) -> wire.Provider:
    """Return what is known of a provider but its key, by its id, or by its name in a project."""
    return provider_view(await _provider(call, provider, query.project_id))


@routes.put("/v1/providers/{provider}", scope=MANAGE, summary="Replace the key of a provider")
async def replace_provider_key(
    call: Call, provider: str, body: wire.ReplaceKeyRequest, query: wire.InProjectQuery
) -> wire.Provider:
    """Give a provider a new key; calls that begin from now on are made with it."""
    found = await _provider(call, provider, query.project_id)
    return provider_view(await call.services.agents.credentials.replace(call.actor, found, body.api_key))


@routes.delete("/v1/providers/{provider}", scope=MANAGE, status=204, answers=NAMED, summary="Delete a provider")
async def delete_provider(call: Call, provider: str, query: wire.InProjectQuery) -> None:
    """Delete a provider that no route names."""
    await call.services.agents.credentials.delete(call.actor, await _provider(call, provider, query.project_id))


async def _in(call: Call, prefix: str, ident: str, project_ident: str | None) -> Project | None:
    """Return the project in which a name is looked for; an id is looked for wherever the caller may see it."""
    if project_ident is None and ids.is_id(prefix, ident):
        return None
    return await call.services.tenants.resolve_project(call.actor, project_ident)


async def _route(call: Call, ident: str, project_ident: str | None) -> domain.Route:
    project = await _in(call, "route", ident, project_ident)
    return await call.services.agents.routes.find(call.actor, project, ident)


async def _provider(call: Call, ident: str, project_ident: str | None) -> domain.Provider:
    project = await _in(call, "prov", ident, project_ident)
    return await call.services.agents.credentials.find(call.actor, project, ident)


def persona_view(kept: personas.Persona, actor: Actor) -> wire.Persona:
    """Return a version of a persona as the wire shows it: with its prompt to those who may read prompts."""
    definition = msgspec.structs.asdict(kept.definition)
    definition["prompt"] = kept.definition.prompt if actor.allows(PROMPTS) else None
    definition["budget"] = wire.PersonaBudget(**msgspec.structs.asdict(kept.definition.budget))
    definition |= {"tools": _listed(kept.definition.tools), "denied_tools": list(kept.definition.denied_tools)}
    return wire.Persona(
        **definition,
        id=kept.persona_version_id,
        persona_id=kept.persona_id,
        key=kept.key,
        version=kept.version,
        org_id=kept.org_id,
        project_id=kept.project_id,
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
    )


def _listed(tools: tuple[str, ...] | None) -> list[str] | None:
    return None if tools is None else list(tools)


def route_view(kept: domain.Route) -> wire.Route:
    """Return a route as the wire shows it."""
    price = kept.definition.price
    shown = None if price is None else wire.RoutePrice(**msgspec.structs.asdict(price))
    return wire.Route(
        **msgspec.structs.asdict(kept.definition) | {"price": shown},
        id=kept.route_id,
        route_id=kept.route_id,
        name=kept.name,
        org_id=kept.org_id,
        project_id=kept.project_id,
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
        updated_at=instants.text(kept.updated_at),
    )


def provider_view(kept: domain.Provider) -> wire.Provider:
    """Return what is known of a provider as the wire shows it."""
    return wire.Provider(
        id=kept.provider_id,
        provider_id=kept.provider_id,
        name=kept.name,
        org_id=kept.org_id,
        project_id=kept.project_id,
        kind=kept.kind,
        base_url=kept.base_url,
        version=kept.version,
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
        updated_at=instants.text(kept.updated_at),
    )
