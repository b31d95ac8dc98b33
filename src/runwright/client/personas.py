"""Calls about what agent runs are made with: personas, routes, models and providers."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.fields import PageOptions
from runwright.client.kpi_models import ModelCatalog
from runwright.client.pages import Pages
from runwright.client.thread_fields import PersonaFields, RouteChanges, RouteFields
from runwright.client.thread_models import Model, Persona, Provider, Route
from runwright.client.transport import Transport


class Personas:
    """Make and read personas; a version never changes."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, key: str, *, idempotency_key: str | None = None, **fields: Unpack[PersonaFields]) -> Persona:
        """Make the next version of a persona."""
        return await self._transport.made(Persona, "/v1/personas", {"key": key, **fields}, idempotency_key)

    def list(
        self, *, project_id: str | None = None, key: str | None = None, **page: Unpack[PageOptions]
    ) -> Pages[Persona]:
        """Return versions of personas, newest first."""
        return self._transport.pages(Persona, "/v1/personas", {"project_id": project_id, "key": key, **page})

    async def get(self, persona: str, *, project_id: str | None = None) -> Persona:
        """Return `key@version`, or the latest version of a `key`."""
        path = f"/v1/personas/{quote(persona, safe='')}"
        return await self._transport.one(Persona, "GET", path, params={"project_id": project_id})


class Routes:
    """Make and change routes; one is named by its id, or by its name in a project."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, name: str, *, idempotency_key: str | None = None, **fields: Unpack[RouteFields]) -> Route:
        """Make a route of a project."""
        return await self._transport.made(Route, "/v1/routes", {"name": name, **fields}, idempotency_key)

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[Route]:
        """Return the routes of a project, or all that the caller may see; newest first."""
        return self._transport.pages(Route, "/v1/routes", {"project_id": project_id, **page})

    async def get(self, route: str, *, project_id: str | None = None) -> Route:
        """Return a route."""
        return await self._transport.one(Route, "GET", _route(route), params={"project_id": project_id})

    async def update(self, route: str, *, project_id: str | None = None, **fields: Unpack[RouteChanges]) -> Route:
        """Change a route; each field that is given is replaced whole."""
        params: Mapping[str, Any] = {"project_id": project_id}
        return await self._transport.one(Route, "PATCH", _route(route), params=params, body=fields)

    async def delete(self, route: str, *, project_id: str | None = None) -> None:
        """Delete a route."""
        await self._transport.send("DELETE", _route(route), params={"project_id": project_id})


class Models:
    """Which models the routes lead to, and what the server knows of them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[Model]:
        """Return the models of the routes of a project, or of all that the caller may see."""
        return self._transport.pages(Model, "/v1/models", {"project_id": project_id, **page})

    async def catalog(
        self,
        *,
        role: str | None = None,
        min_context: int | None = None,
        max_cost: float | None = None,
        capability: Sequence[str] | None = None,
        explain: str | None = None,
        project_id: str | None = None,
    ) -> ModelCatalog:
        """Return a project's models with prices and their own past, ranked for a role, or for each; `explain`: "1"."""
        params: Mapping[str, Any] = {
            "role": role,
            "min_context": min_context,
            "max_cost": max_cost,
            "capability": capability,
            "explain": explain,
            "project_id": project_id,
        }
        return await self._transport.one(ModelCatalog, "GET", "/api/v1/models/catalog", params=params)


class Providers:
    """Make providers and replace their keys; nothing returns the key of one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        name: str,
        kind: str,
        api_key: str,
        *,
        base_url: str | None = None,
        project_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Provider:
        """Make a provider of a project."""
        given = {"name": name, "kind": kind, "api_key": api_key, "base_url": base_url, "project_id": project_id}
        body = {field: said for field, said in given.items() if said is not None}
        return await self._transport.made(Provider, "/v1/providers", body, idempotency_key)

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[Provider]:
        """Return providers, without their keys; newest first."""
        return self._transport.pages(Provider, "/v1/providers", {"project_id": project_id, **page})

    async def get(self, provider: str, *, project_id: str | None = None) -> Provider:
        """Return what is known of a provider but its key."""
        return await self._transport.one(Provider, "GET", _provider(provider), params={"project_id": project_id})

    async def replace(self, provider: str, api_key: str, *, project_id: str | None = None) -> Provider:
        """Give a provider a new key."""
        params: Mapping[str, Any] = {"project_id": project_id}
        return await self._transport.one(Provider, "PUT", _provider(provider), params=params, body={"api_key": api_key})

    async def delete(self, provider: str, *, project_id: str | None = None) -> None:
        """Delete a provider that no route names."""
        await self._transport.send("DELETE", _provider(provider), params={"project_id": project_id})


def _route(route: str) -> str:
    return f"/v1/routes/{quote(route, safe='')}"


def _provider(provider: str) -> str:
    return f"/v1/providers/{quote(provider, safe='')}"
