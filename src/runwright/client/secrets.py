"""Calls about what the code of jobs is given beside its payload: environments and secrets."""

from collections.abc import Mapping
from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.accounts import Environment, Secret
from runwright.client.fields import EnvironmentChanges, EnvironmentFields, PageOptions
from runwright.client.pages import Pages
from runwright.client.transport import Transport


class Environments:
    """Make and change environments; one is named by its id, or by its name in a project."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, idempotency_key: str | None = None, **fields: Unpack[EnvironmentFields]) -> Environment:
        """Make an environment of a project."""
        return await self._transport.made(Environment, "/v1/environments", fields, idempotency_key)

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[Environment]:
        """Return the environments of a project, or all that the caller may see; newest first."""
        return self._transport.pages(Environment, "/v1/environments", {"project_id": project_id, **page})

    async def get(self, environment: str, *, project_id: str | None = None) -> Environment:
        """Return an environment."""
        return await self._transport.one(Environment, "GET", _path(environment), params={"project_id": project_id})

    async def update(
        self, environment: str, *, project_id: str | None = None, **fields: Unpack[EnvironmentChanges]
    ) -> Environment:
        """Change an environment; each field that is given is replaced whole."""
        params: Mapping[str, Any] = {"project_id": project_id}
        return await self._transport.one(Environment, "PATCH", _path(environment), params=params, body=fields)

    async def delete(self, environment: str, *, project_id: str | None = None) -> None:
        """Delete an environment that no job names, with its secrets."""
        await self._transport.send("DELETE", _path(environment), params={"project_id": project_id})


class Secrets:
    """Make and replace secrets; nothing returns the value of one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        name: str,
        value: str,
        *,
        environment: str | None = None,
        project_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Secret:
        """Make a secret of a project, or of one of its environments."""
        given = {"name": name, "value": value, "environment": environment, "project_id": project_id}
        body = {field: said for field, said in given.items() if said is not None}
        return await self._transport.made(Secret, "/v1/secrets", body, idempotency_key)

    def list(
        self, *, project_id: str | None = None, environment: str | None = None, **page: Unpack[PageOptions]
    ) -> Pages[Secret]:
        """Return secrets, without their values; newest first."""
        params = {"project_id": project_id, "environment": environment, **page}
        return self._transport.pages(Secret, "/v1/secrets", params)

    async def get(self, secret_id: str) -> Secret:
        """Return what is known of a secret but its value."""
        return await self._transport.one(Secret, "GET", _secret(secret_id))

    async def replace(self, secret_id: str, value: str) -> Secret:
        """Give a secret a new value, which attempts that begin from now on are given."""
        return await self._transport.one(Secret, "PUT", _secret(secret_id), body={"value": value})

    async def delete(self, secret_id: str) -> None:
        """Delete a secret."""
        await self._transport.send("DELETE", _secret(secret_id))


def _path(environment: str) -> str:
    return f"/v1/environments/{quote(environment, safe='')}"


def _secret(secret_id: str) -> str:
    return f"/v1/secrets/{quote(secret_id, safe='')}"
