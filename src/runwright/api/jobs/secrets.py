"""The routes of environments and secrets."""

from __future__ import annotations

from runwright import ids
from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, TAKEN, idempotency_key
from runwright.api.jobs import secret_schemas as wire
from runwright.api.pages import Page
from runwright.api.patches import given
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.domain import secrets as domain
from runwright.domain.accounts import Project

routes = Routes("secrets")
SCOPE = "secrets:write"
NOWHERE = {404: "The project or environment is not the caller's"}
FULL = {429: "The project has as many secrets as it may"}


@routes.post(
    "/v1/environments",
    scope=SCOPE,
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | NOWHERE,
    summary="Create an environment",
)
async def create_environment(call: Call, body: wire.CreateEnvironmentRequest) -> Reply[wire.Environment]:
    """Create an environment of a project: jobs that name it are given its variables and secrets."""
    project = await call.services.tenants.resolve_project(call.actor, body.project_id)
    fields = {"name": body.name, "description": body.description, "variables": body.variables}
    environments = call.services.engine.vault.environments
    made = await environments.create(call.actor, project, fields, idempotency_key(call))
    return Reply(environment_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/environments", scope=SCOPE, answers=NOWHERE, summary="List environments")
async def list_environments(call: Call, query: wire.EnvironmentListQuery) -> Page[wire.Environment]:
    """List the environments of a project, or all that the caller may see; newest first."""
    window = query.window(call.services.settings, order="desc")
    project = await _project(call, query.project_id)
    rows = await call.services.engine.vault.environments.page(call.actor, project, part(window, "env"))
    return Page.of(rows, window, environment_view, lambda row: row.environment_id)


@routes.get("/v1/environments/{environment}", scope=SCOPE, summary="Get an environment")
async def get_environment(call: Call, environment: str, query: wire.InProjectQuery) -> wire.Environment:
    """Return an environment by its id, or by its name in a project."""
    return environment_view(await _environment(call, environment, query.project_id))


@routes.patch("/v1/environments/{environment}", scope=SCOPE, summary="Change an environment")
async def update_environment(
    call: Call, environment: str, body: wire.UpdateEnvironmentRequest, query: wire.InProjectQuery
) -> wire.Environment:
    """Change the fields that are named, each replaced whole; attempts that begin from now on are given them."""
    found = await _environment(call, environment, query.project_id)
    return environment_view(await call.services.engine.vault.environments.update(call.actor, found, given(body)))


@routes.delete(
    "/v1/environments/{environment}",
    scope=SCOPE,
    status=204,
    answers={409: "A job names the environment"},
    summary="Delete an environment",
)
async def delete_environment(call: Call, environment: str, query: wire.InProjectQuery) -> None:
    """Delete an environment that no job names, with its secrets."""
    found = await _environment(call, environment, query.project_id)
    await call.services.engine.vault.environments.delete(call.actor, found)


@routes.post(
    "/v1/secrets",
    scope=SCOPE,
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | NOWHERE | FULL,
    summary="Create a secret",
)
async def create_secret(call: Call, body: wire.CreateSecretRequest) -> Reply[wire.Secret]:
    """Create a secret; its value is never returned. With several servers it answers when all of them hide it."""
    project = await call.services.tenants.resolve_project(call.actor, body.project_id)
    vault, environment = call.services.engine.vault, None
    if body.environment is not None:
        environment = await vault.environments.find(call.actor, body.environment, project)
    key = idempotency_key(call)
    made = await vault.secrets.create(call.actor, project, environment, body.name, body.value, key)
    return Reply(secret_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/secrets", scope=SCOPE, answers=NOWHERE, summary="List secrets")
async def list_secrets(call: Call, query: wire.SecretListQuery) -> Page[wire.Secret]:
    """List secrets, without their values; newest first."""
    window = query.window(call.services.settings, order="desc")
    project, environment = await _project(call, query.project_id), None
    if query.environment is not None:
        environment = await _environment(call, query.environment, query.project_id)
    rows = await call.services.engine.vault.secrets.page(call.actor, project, environment, part(window, "sec"))
    return Page.of(rows, window, secret_view, lambda row: row.secret_id)


@routes.get("/v1/secrets/{secret_id}", scope=SCOPE, summary="Get a secret")
async def get_secret(call: Call, secret_id: str) -> wire.Secret:
    """Return what is known of a secret but its value."""
    return secret_view(await call.services.engine.vault.secrets.get(call.actor, secret_id))


@routes.put("/v1/secrets/{secret_id}", scope=SCOPE, answers=TAKEN, summary="Replace the value of a secret")
async def replace_secret(call: Call, secret_id: str, body: wire.ReplaceSecretRequest) -> wire.Secret:
    """Give a secret a new value; attempts that begin from now on are given it. What it was stays hidden for days."""
    secrets = call.services.engine.vault.secrets
    return secret_view(await secrets.replace(call.actor, secret_id, body.value))


@routes.delete("/v1/secrets/{secret_id}", scope=SCOPE, status=204, summary="Delete a secret")
async def delete_secret(call: Call, secret_id: str) -> None:
    """Delete a secret: attempts that begin from now on are not given it."""
    await call.services.engine.vault.secrets.delete(call.actor, secret_id)


async def _project(call: Call, ident: str | None) -> Project | None:
    return await call.services.tenants.resolve_project(call.actor, ident) if ident is not None else None


async def _environment(call: Call, ident: str, project_ident: str | None) -> domain.Environment:
    """Return the environment that a caller names: by id wherever it may see it, by name in the project."""
    environments = call.services.engine.vault.environments
    if project_ident is None and ids.is_id("env", ident):
        return await environments.find(call.actor, ident, None)
    project = await call.services.tenants.resolve_project(call.actor, project_ident)
    return await environments.find(call.actor, ident, project)


def environment_view(kept: domain.Environment) -> wire.Environment:
    """Return an environment as the wire shows it."""
    return wire.Environment(
        id=kept.environment_id,
        environment_id=kept.environment_id,
        org_id=kept.org_id,
        project_id=kept.project_id,
        name=kept.name,
        description=kept.description,
        variables=kept.variables,
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
        updated_at=instants.text(kept.updated_at),
    )


def secret_view(kept: domain.Secret) -> wire.Secret:
    """Return a secret as the wire shows it."""
    return wire.Secret(
        id=kept.secret_id,
        secret_id=kept.secret_id,
        org_id=kept.org_id,
        project_id=kept.project_id,
        environment_id=kept.environment_id or None,
        name=kept.name,
        version=kept.version,
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
        updated_at=instants.text(kept.updated_at),
    )
