"""The routes of tenancy: `/v1/me`, `/v1/organizations`, `/v1/projects`, `/v1/users`, `/v1/keys`."""

from msgspec import UNSET

from runwright.api.admin import schemas as wire
from runwright.api.admin.views import (
    founded_view,
    key_view,
    member_view,
    minted_view,
    organization_view,
    project_view,
    text_or_none,
    user_view,
)
from runwright.api.context import ANYONE, Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, TAKEN, idempotency_key
from runwright.api.instants import micros
from runwright.api.pages import Page, PageQuery
from runwright.api.patches import given
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.domain.accounts import slug_of
from runwright.errors import InvalidRequest

routes = Routes("tenancy")
NOWHERE = {404: "The organization, project or user is not the caller's"}


@routes.get("/v1/me", scope=ANYONE, summary="Who am I?")
async def get_me(call: Call) -> wire.Me:
    """Show the organization, project, user, memberships and key of the caller, and what it may do."""
    actor, tenants = call.actor, call.services.tenants
    project = await tenants.resolve_project(actor, None) if actor.project_id is not None else None
    return wire.Me(
        kind=actor.kind,
        actor=actor.label,
        organization=organization_view(await tenants.organizations.get(actor)),
        project=project_view(project) if project is not None else None,
        user=user_view(await tenants.users.own(actor)) if actor.user_id is not None else None,
        key=key_view(await tenants.keys.get(actor, actor.key_id)) if actor.key_id is not None else None,
        role=actor.role,
        memberships=[member_view(each) for each in await tenants.members.own(actor)],
        scopes=sorted(actor.scopes),
        expires_at=text_or_none(actor.expires_at),
    )


@routes.post(
    "/v1/organizations",
    scope="admin",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE,
    summary="Create an organization",
)
async def create_organization(call: Call, body: wire.CreateOrganizationRequest) -> Reply[wire.CreatedOrganization]:
    """Create another organization with a project, a user and an admin key, whose token is shown this once."""
    slug, name = _named(body.slug, body.name)
    made = await call.services.tenants.organizations.create(
        call.actor, slug=slug, name=name, idempotency_key=idempotency_key(call)
    )
    return Reply(founded_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/organizations", scope="admin", summary="List organizations")
async def list_organizations(call: Call, query: PageQuery) -> Page[wire.Organization]:
    """List the caller's organization, which is the only one that it sees."""
    window = query.window(call.services.settings, order="desc")
    own = await call.services.tenants.organizations.get(call.actor)
    rows = [own] if part(window, "org").holds(own.org_id) else []
    return Page.of(rows, window, organization_view, lambda row: row.org_id)


@routes.get("/v1/organizations/{organization}", scope="admin", summary="Get an organization")
async def get_organization(call: Call, organization: str) -> wire.Organization:
    """Return the caller's organization, by its id or slug."""
    return organization_view(await call.services.tenants.organizations.get(call.actor, organization))


@routes.patch("/v1/organizations/{organization}", scope="admin", summary="Rename an organization")
async def update_organization(call: Call, organization: str, body: wire.UpdateOrganizationRequest) -> wire.Organization:
    """Change the fields that are named."""
    changed = await call.services.tenants.organizations.update(call.actor, organization, given(body))
    return organization_view(changed)


@routes.post(
    "/v1/projects", scope="admin", status=201, headers=HEADERS, answers=MADE_BEFORE, summary="Create a project"
)
async def create_project(call: Call, body: wire.CreateProjectRequest) -> Reply[wire.Project]:
    """Create a project in the caller's organization."""
    slug, name = _named(body.slug, body.name)
    _check_retention(call, body.retention_days)
    made = await call.services.tenants.projects.create(
        call.actor,
        slug=slug,
        name=name,
        weight=body.weight,
        max_concurrency=body.max_concurrency,
        retention_days=body.retention_days,
        idempotency_key=idempotency_key(call),
    )
    return Reply(project_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/projects", scope=ANYONE, summary="List projects")
async def list_projects(call: Call, query: PageQuery) -> Page[wire.Project]:
    """List the projects that the caller may see."""
    window = query.window(call.services.settings, order="desc")
    rows = await call.services.tenants.projects.page(call.actor, part(window, "proj"))
    return Page.of(rows, window, project_view, lambda row: row.project_id)


@routes.get("/v1/projects/{project}", scope=ANYONE, summary="Get a project")
async def get_project(call: Call, project: str) -> wire.Project:
    """Return a project by its id or slug."""
    return project_view(await call.services.tenants.resolve_project(call.actor, project))


@routes.patch("/v1/projects/{project}", scope="admin", summary="Change a project")
async def update_project(call: Call, project: str, body: wire.UpdateProjectRequest) -> wire.Project:
    """Change the fields that are named."""
    _check_retention(call, None if body.retention_days is UNSET else body.retention_days)
    return project_view(await call.services.tenants.projects.update(call.actor, project, given(body)))


@routes.post("/v1/users", scope="admin", status=201, headers=HEADERS, answers=MADE_BEFORE, summary="Create a user")
async def create_user(call: Call, body: wire.CreateUserRequest) -> Reply[wire.User]:
    """Create a user in the caller's organization; keys are made for it at `/v1/keys`."""
    made = await call.services.tenants.users.create(
        call.actor, name=body.name, email=body.email, subject=body.subject, idempotency_key=idempotency_key(call)
    )
    return Reply(user_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/users", scope="admin", summary="List users")
async def list_users(call: Call, query: PageQuery) -> Page[wire.User]:
    """List the users of the caller's organization."""
    window = query.window(call.services.settings, order="desc")
    rows = await call.services.tenants.users.page(call.actor, part(window, "user"))
    return Page.of(rows, window, user_view, lambda row: row.user_id)


@routes.get("/v1/users/{user_id}", scope="admin", summary="Get a user")
async def get_user(call: Call, user_id: str) -> wire.User:
    """Return a user."""
    return user_view(await call.services.tenants.users.get(call.actor, user_id))


@routes.patch("/v1/users/{user_id}", scope="admin", answers=TAKEN, summary="Change a user")
async def update_user(call: Call, user_id: str, body: wire.UpdateUserRequest) -> wire.User:
    """Change the fields that are named; a user that is disabled has no valid key from that moment on."""
    return user_view(await call.services.tenants.users.update(call.actor, user_id, given(body)))


@routes.post(
    "/v1/keys", scope="keys:manage", status=201, headers=HEADERS, answers=MADE_BEFORE | NOWHERE, summary="Create a key"
)
async def create_key(call: Call, body: wire.CreateKeyRequest) -> Reply[wire.CreatedKey]:
    """Create a key, with no more scopes than the caller has; its token is shown this once."""
    tenants, actor = call.services.tenants, call.actor
    await tenants.organizations.get(actor, body.org_id)
    bound = await tenants.resolve_project(actor, body.project_id) if body.project_id is not None else None
    made = await tenants.keys.create(
        actor,
        name=body.name,
        scopes=body.scopes,
        project_id=bound.project_id if bound is not None else None,
        user_id=body.user_id,
        service=body.service,
        expires_at=None if body.expires_at is None else micros(body.expires_at),
        idempotency_key=idempotency_key(call),
    )
    return Reply(minted_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/keys", scope="keys:manage", summary="List keys")
async def list_keys(call: Call, query: PageQuery) -> Page[wire.Key]:
    """List the keys that the caller may see, those that have ended too."""
    window = query.window(call.services.settings, order="desc")
    rows = await call.services.tenants.keys.page(call.actor, part(window, "key"))
    return Page.of(rows, window, key_view, lambda row: row.key_id)


@routes.get("/v1/keys/{key_id}", scope="keys:manage", summary="Get a key")
async def get_key(call: Call, key_id: str) -> wire.Key:
    """Return a key, without its token."""
    return key_view(await call.services.tenants.keys.get(call.actor, key_id))


@routes.post(
    "/v1/keys/{key_id}/rotate",
    scope="keys:manage",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE,
    summary="Rotate a key",
)
async def rotate_key(
    call: Call,
    key_id: str,
    body: wire.RotateKeyRequest = wire.RotateKeyRequest(),  # noqa: B008 - frozen
) -> Reply[wire.CreatedKey]:
    """Replace a key by a new one, whose token is shown this once; the old one stays valid for a while."""
    expires_at = None if body.expires_at is None else micros(body.expires_at)
    made = await call.services.tenants.keys.rotate(call.actor, key_id, body.grace_s, expires_at, idempotency_key(call))
    return Reply(minted_view(made.value), 200 if made.repeated else 201)


@routes.delete("/v1/keys/{key_id}", scope="keys:manage", summary="Revoke a key")
async def revoke_key(call: Call, key_id: str) -> wire.Key:
    """End a key, at once and for ever."""
    return key_view(await call.services.tenants.keys.revoke(call.actor, key_id))


def _named(slug: str | None, name: str | None) -> tuple[str, str]:
    slug = slug or slug_of(name or "")
    if not slug:
        raise InvalidRequest.at("slug", "is required")
    return slug, name or slug


def _check_retention(call: Call, days: float | None) -> None:
    longest = call.services.settings.retention_days
    if days is not None and 0 < longest < days:
        raise InvalidRequest.at("retention_days", f"must not exceed the server's: {longest:g} days")
