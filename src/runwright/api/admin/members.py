"""The routes of `/v1/members`: who has which role in the organization and its projects."""

from runwright.api.admin import schemas as wire
from runwright.api.admin.views import member_view
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, idempotency_key
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part

routes = Routes("tenancy")
NOWHERE = {404: "The project or user is not the caller's"}
LAST = {409: "The organization's last admin keeps their role"}


@routes.post(
    "/v1/members", scope="admin", status=201, headers=HEADERS, answers=MADE_BEFORE | NOWHERE, summary="Create a member"
)
async def create_member(call: Call, body: wire.CreateMemberRequest) -> Reply[wire.Member]:
    """Give a user a role: in one project, or without `project_id` in the whole organization."""
    tenants, actor = call.services.tenants, call.actor
    bound = await tenants.resolve_project(actor, body.project_id) if body.project_id is not None else None
    made = await tenants.members.create(
        actor,
        user_id=body.user_id,
        role=body.role,
        project_id=bound.project_id if bound is not None else None,
        idempotency_key=idempotency_key(call),
    )
    return Reply(member_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/members", scope="admin", summary="List members")
async def list_members(call: Call, query: PageQuery) -> Page[wire.Member]:
    """List the members of the organization and its projects; a caller bound to one project sees that one's."""
    window = query.window(call.services.settings, order="desc")
    rows = await call.services.tenants.members.page(call.actor, part(window, "mem"))
    return Page.of(rows, window, member_view, lambda row: row.member_id)


@routes.get("/v1/members/{member_id}", scope="admin", summary="Get a member")
async def get_member(call: Call, member_id: str) -> wire.Member:
    """Return a member."""
    return member_view(await call.services.tenants.members.get(call.actor, member_id))


@routes.patch("/v1/members/{member_id}", scope="admin", answers=LAST, summary="Change a member's role")
async def update_member(call: Call, member_id: str, body: wire.UpdateMemberRequest) -> wire.Member:
    """Give a member another role, which counts from now on; the organization's last admin keeps theirs."""
    return member_view(await call.services.tenants.members.update(call.actor, member_id, body.role))


@routes.delete("/v1/members/{member_id}", scope="admin", answers=LAST, summary="Remove a member")
async def remove_member(call: Call, member_id: str) -> wire.Member:
    """End a membership at once; the organization's last admin stays."""
    return member_view(await call.services.tenants.members.remove(call.actor, member_id))
