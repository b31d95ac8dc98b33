"""The routes of threads and their messages."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, MADE_BEFORE, idempotency_key
from runwright.api.pages import Page, PageQuery
from runwright.api.patches import given
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.api.threads import schemas as wire
from runwright.domain import thread as domain
from runwright.domain.accounts import Project
from runwright.domain.thread import TextPart, text_of
from runwright.errors import InvalidRequest

routes = Routes("threads")
NOWHERE = {404: "The project, persona or route is not the caller's"}
BUSY = {409: "A run of the thread has not ended"}


@routes.post(
    "/v1/threads",
    scope="threads:write",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE | NOWHERE,
    summary="Create a thread",
)
async def create_thread(
    call: Call,
    body: wire.CreateThreadRequest = wire.CreateThreadRequest(),  # noqa: B008 - frozen
) -> Reply[wire.Thread]:
    """Create a conversation; its persona and its route, if it names any, are there."""
    office = call.services
    project = await office.tenants.resolve_project(call.actor, body.project_id)
    fields = msgspec.structs.asdict(body) | {"project_id": None}
    await require_named(call, project, fields)
    made = await office.agents.threads.create(call.actor, project, fields, idempotency_key(call))
    return Reply(thread_view(made.value), 200 if made.repeated else 201)


@routes.get("/v1/threads", scope="threads:read", answers=NOWHERE, summary="List threads")
async def list_threads(call: Call, query: wire.ThreadListQuery) -> Page[wire.Thread]:
    """List the threads of a project, or all that the caller may see; newest first."""
    window = query.window(call.services.settings, order="desc")
    project = await named_project(call, query.project_id)
    rows = await call.services.agents.threads.page(call.actor, project, part(window, "thr"))
    return Page.of(rows, window, thread_view, lambda row: row.thread_id)


@routes.get("/v1/threads/{thread_id}", scope="threads:read", summary="Get a thread")
async def get_thread(call: Call, thread_id: str) -> wire.Thread:
    """Return a thread."""
    return thread_view(await call.services.agents.threads.find(call.actor, thread_id))


@routes.patch("/v1/threads/{thread_id}", scope="threads:write", summary="Change a thread")
async def update_thread(call: Call, thread_id: str, body: wire.UpdateThreadRequest) -> wire.Thread:
    """Change the fields that are named, each replaced whole; runs that are there keep what they were made with."""
    office = call.services
    found = await office.agents.threads.find(call.actor, thread_id)
    changes = given(body)
    await require_named(call, await office.tenants.resolve_project(call.actor, found.project_id), changes)
    return thread_view(await office.agents.threads.update(call.actor, thread_id, changes))


@routes.delete("/v1/threads/{thread_id}", scope="threads:write", status=204, answers=BUSY, summary="Delete a thread")
async def delete_thread(call: Call, thread_id: str) -> None:
    """Delete a thread with its messages; its runs stay, and can be erased with it."""
    await call.services.agents.threads.delete(call.actor, thread_id)


@routes.post("/v1/threads/{thread_id}/erase", scope="data:erase", answers=BUSY, summary="Erase the data of a thread")
async def erase_thread(call: Call, thread_id: str) -> wire.ErasedThread:
    """Erase messages, title and metadata, and the data of every run; the logs stay, without data, and still verify."""
    erased = await call.services.agents.erase(call.actor, thread_id)
    return wire.ErasedThread(thread_id=thread_id, erased_runs=erased)


@routes.post(
    "/v1/threads/{thread_id}/messages",
    scope="threads:write",
    status=201,
    headers=HEADERS,
    answers=MADE_BEFORE,
    summary="Add a message",
)
async def add_message(call: Call, thread_id: str, body: wire.AddMessageRequest) -> Reply[wire.Message]:
    """Add a message to a thread; runs that begin from now on answer it."""
    if (body.content is None) == (body.parts is None):
        raise InvalidRequest.at("content", "send content or parts, one of them")
    threads = call.services.agents.threads
    thread = await threads.find(call.actor, thread_id)
    parts = body.parts or (TextPart(body.content or ""),)
    made = await threads.say(call.actor, thread, body.role, parts, idempotency_key(call))
    return Reply(_message(call, thread, made.value), 200 if made.repeated else 201)


@routes.get("/v1/threads/{thread_id}/messages", scope="threads:read", summary="List messages")
async def list_messages(call: Call, thread_id: str, query: PageQuery) -> Page[wire.Message]:
    """List the messages of a thread, oldest first."""
    threads = call.services.agents.threads
    thread = await threads.find(call.actor, thread_id)
    window = query.window(call.services.settings, order="asc")
    bound, newest_first = window.bound("msg"), window.newest_first
    found = await threads.messages(call.actor, thread, bound, window.limit + 1, newest_first=newest_first)
    return Page.of(found, window, lambda row: _message(call, thread, row), lambda row: row.message_id)


async def named_project(call: Call, ident: str | None) -> Project | None:
    """Return the project that a caller names, if it names one."""
    return await call.services.tenants.resolve_project(call.actor, ident) if ident is not None else None


async def require_named(call: Call, project: Project, fields: dict[str, Any]) -> None:
    """Raise `NotFound` for a persona or a route that the project does not have."""
    agents = call.services.agents
    if fields.get("persona_id"):
        await agents.personas.find(call.actor, project, fields["persona_id"])
    if fields.get("route_id"):
        await agents.routes.find(call.actor, project, fields["route_id"])


def thread_view(kept: domain.Thread) -> wire.Thread:
    """Return a thread as the wire shows it."""
    return wire.Thread(
        id=kept.thread_id,
        thread_id=kept.thread_id,
        org_id=kept.org_id,
        project_id=kept.project_id,
        title=kept.title,
        persona_id=kept.persona_id or None,
        route_id=kept.route_id or None,
        metadata=kept.metadata,
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
        updated_at=instants.text(kept.updated_at),
    )


def _message(call: Call, thread: domain.Thread, kept: domain.Message) -> wire.Message:
    office = call.services
    parts = office.agents.threads.parts(thread.project_id, kept)
    shown = office.engine.values.shown(thread.project_id, msgspec.to_builtins(parts))
    return wire.Message(
        id=kept.message_id,
        message_id=kept.message_id,
        thread_id=kept.thread_id,
        seq=kept.seq,
        role=kept.role,  # type: ignore[arg-type]
        content=office.engine.vault.redactors.of(thread.project_id).text(text_of(parts)),
        parts=shown,
        run_id=kept.run_id,
        created_at=instants.text(kept.created_at),
        created_by=kept.created_by,
    )
