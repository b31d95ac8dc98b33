"""Statements of personas, routes and providers."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BindParameter, Integer, bindparam, delete, func, literal_column, select

from runwright.domain.accounts import Project
from runwright.domain.persona import DEFAULT, Persona, PersonaDefinition
from runwright.domain.route import LOCAL, LOCAL_ROUTE, Provider, Route, RouteDefinition
from runwright.store.base import Row, Transaction
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.secret_tables import secret_values
from runwright.store.thread_tables import personas, providers, routes

_project: BindParameter[str] = bindparam("project_id")
_org: BindParameter[str] = bindparam("org_id")

INSERT_PERSONA = inserting(personas)
_of_key = (personas.c.project_id == _project) & (personas.c.key == bindparam("key"))
PERSONA = Query(rows(personas, Persona, _of_key, personas.c.version == bindparam("version", type_=Integer)))
LATEST_PERSONA = Query(
    rows(personas, Persona, _of_key).order_by(personas.c.version.desc()).limit(literal_column("1", Integer))
)
PERSONA_BY_ID = Query(rows(personas, Persona, personas.c.persona_version_id == bindparam("persona_version_id")))
PERSONAS = paging(rows(personas, Persona, personas.c.org_id == _org), personas.c.persona_version_id)
PERSONAS_OF_PROJECT = paging(rows(personas, Persona, personas.c.project_id == _project), personas.c.persona_version_id)
PERSONAS_OF_KEY = paging(rows(personas, Persona, _of_key), personas.c.persona_version_id)

INSERT_ROUTE = inserting(routes)
SET_ROUTE = setting(routes, "route_id", "definition", "updated_at")
DELETE_ROUTE = Query(delete(routes).where(routes.c.route_id == bindparam("row")))
ROUTE = Query(rows(routes, Route, routes.c.route_id == bindparam("route_id")))
COUNT_ROUTES = Query(select(func.count()).select_from(routes).where(routes.c.project_id == _project))
ROUTE_BY_NAME = Query(rows(routes, Route, routes.c.project_id == _project, routes.c.name == bindparam("name")))
ROUTES = paging(rows(routes, Route, routes.c.org_id == _org), routes.c.route_id)
ROUTES_OF_PROJECT = paging(rows(routes, Route, routes.c.project_id == _project), routes.c.route_id)

INSERT_PROVIDER = inserting(providers)
SET_PROVIDER = setting(providers, "provider_id", "base_url", "version", "updated_at")
DELETE_PROVIDER = Query(delete(providers).where(providers.c.provider_id == bindparam("row")))
PROVIDER = Query(rows(providers, Provider, providers.c.provider_id == bindparam("provider_id")))
PROVIDER_BY_NAME = Query(
    rows(providers, Provider, providers.c.project_id == _project, providers.c.name == bindparam("name"))
)
PROVIDERS = paging(rows(providers, Provider, providers.c.org_id == _org), providers.c.provider_id)
PROVIDERS_OF_PROJECT = paging(rows(providers, Provider, providers.c.project_id == _project), providers.c.provider_id)

KEY_OF_PROVIDER = Query(
    select(secret_values.c.version, secret_values.c.sealed)
    .join(
        providers,
        (providers.c.project_id == secret_values.c.project_id)
        & (providers.c.provider_id == secret_values.c.secret_id)
        & (providers.c.version == secret_values.c.version),
    )
    .where(providers.c.provider_id == bindparam("provider_id"))
)

SYSTEM = "system:projects"

_encode = msgspec.json.Encoder(order="deterministic").encode


class _StoredPersona(PersonaDefinition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A definition as another version of this program may have stored it, with fields that this one does not know."""


class _StoredRoute(RouteDefinition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The same of a route."""


_persona = msgspec.json.Decoder(_StoredPersona).decode
_route = msgspec.json.Decoder(_StoredRoute).decode


def encoded(definition: PersonaDefinition | RouteDefinition) -> bytes:
    """Return a definition as it is stored: all fields, so that a later default changes nothing."""
    return _encode(definition)


def row(made: Persona | Route) -> dict[str, Any]:
    """Return the columns of a persona's version, or of a route."""
    return msgspec.structs.asdict(made) | {"definition": encoded(made.definition)}


def persona(found: Row) -> Persona:
    """Return the persona of a row."""
    named = dict(zip(Persona.__struct_fields__, found, strict=True))
    definition = PersonaDefinition(**msgspec.structs.asdict(_persona(named["definition"])))
    return Persona(**named | {"definition": definition})


def route(found: Row) -> Route:
    """Return the route of a row."""
    named = dict(zip(Route.__struct_fields__, found, strict=True))
    return Route(**named | {"definition": RouteDefinition(**msgspec.structs.asdict(_route(named["definition"])))})


def provider(found: Row) -> Provider:
    """Return the provider of a row."""
    return Provider(**dict(zip(Provider.__struct_fields__, found, strict=True)))


def first_persona(project: Project, at: int) -> Persona:
    """Return the persona that a project has from the beginning."""
    return Persona(
        persona_version_id=f"per_{project.project_id.partition('_')[2]}",
        org_id=project.org_id,
        project_id=project.project_id,
        key=DEFAULT,
        version=1,
        definition=PersonaDefinition(),
        created_at=at,
        created_by=SYSTEM,
    )


def first_route(project: Project, at: int) -> Route:
    """Return the route that a project has from the beginning: a model in the server's own process."""
    return Route(
        route_id=f"route_{project.project_id.partition('_')[2]}",
        org_id=project.org_id,
        project_id=project.project_id,
        name=LOCAL,
        definition=LOCAL_ROUTE,
        created_at=at,
        created_by=SYSTEM,
        updated_at=at,
    )


async def found(tx: Transaction, project: Project) -> None:
    """Give a new project its first persona and its first route."""
    await tx.fetch(INSERT_PERSONA, **row(first_persona(project, tx.now)))
    await tx.fetch(INSERT_ROUTE, **row(first_route(project, tx.now)))
