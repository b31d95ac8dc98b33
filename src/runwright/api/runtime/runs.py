"""Runs on the runtime surface: make one, list them, where one stands, cancel it."""

from __future__ import annotations

from typing import Any

from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, idempotency_key
from runwright.api.pages import Page
from runwright.api.routing import Reply, Routes
from runwright.api.runtime import addresses
from runwright.api.runtime import run_schemas as wire
from runwright.api.runtime.following import Stand, stand_of, standing
from runwright.api.runtime.run_views import order_of, run_view
from runwright.domain.words import WORDS, matches, shows
from runwright.engine.reader import Filter
from runwright.errors import InvalidRequest, InvalidTransition
from runwright.store.base import Record
from runwright.store.queries.runs import indexed

routes = Routes(tag="runtime")

AS_IT_IS, PLAIN = wire.RuntimeCancelRequest(), wire.RuntimeRunRequest()
REPLAYED = "Idempotent-Replayed"
MADE = {
    200: "The run that the idempotency key had made before",
    403: "This server makes no runs in the mode (`MODE_NOT_ALLOWED`), or lets no run ask the model",
    404: "The project, or the route of the model, is not there",
    409: "The idempotency key was used for another request; no model may be asked (`MODELS_NONE`); there is a limit of "
    "money, and the model has no known price (`UNPRICED_MODEL`)",
}


@addresses.post(
    routes,
    "",
    scope="runs:write",
    status=201,
    headers=HEADERS,
    answer_headers={"Location": "Where the run is.", REPLAYED: "`true`: the idempotency key found the run."},
    answers=MADE,
    summary="Make a runtime run",
)
async def create_runtime_run(call: Call, body: wire.RuntimeRunRequest = PLAIN) -> Reply[wire.RuntimeRun]:
    """Make a run that works through steps over a workspace; without any it looks at what is there, and reports."""
    office = call.services
    project = await office.tenants.resolve_project(call.actor, body.project_id)
    made = await office.runtime.create(
        call.actor, project, order_of(body, idempotency_key(call)), request_id=call.request_id, trace_id=call.trace_id
    )
    run = (await office.engine.reader(call.actor).run(made.run_id)).run
    headers = {"location": f"{addresses.RUNS}/{made.run_id}"} | ({REPLAYED.lower(): "true"} if made.hit else {})
    return Reply(run_view(run, office.clock.now()), status=200 if made.hit else 201, headers=headers)


@addresses.get(
    routes, "", scope="runs:read", answers={404: "The project is not the caller's"}, summary="List runs of every kind"
)
async def list_runtime_runs(call: Call, query: wire.RuntimeRunsQuery) -> Page[wire.RuntimeRun]:
    """List runs, newest first: those of one project, or all that the caller sees."""
    office = call.services
    where: dict[str, Any] = {}
    if query.project_id is not None:
        where["project_id"] = (await office.tenants.resolve_project(call.actor, query.project_id)).project_id
    wanted = Filter(where=where)
    if query.status is not None:
        named = frozenset(shows(query.status) or ())
        if not named:
            raise InvalidRequest.at("status", f"is none of {', '.join(WORDS)}")

        def shown(record: Record) -> bool:
            return any(matches(record.run, each) for each in named)

        wanted = Filter(where=where, shown=named) if indexed(named) else Filter(where=where, keep=shown)
    window = query.window(office.settings, order="desc")
    reader = office.engine.reader(call.actor)
    listed = await reader.runs(wanted, bound=window.bound("run"), limit=window.limit, newest_first=window.newest_first)
    return Page(
        [run_view(record.run, office.clock.now()) for record in listed.records],
        listed.next_cursor,
        partial=listed.partial,
    )


@addresses.get(
    routes,
    "/{run_id}/status",
    scope="runs:read",
    headers={"If-None-Match": "The ETag of what the caller has."},
    answer_headers={"ETag": "Changes with each event of the run."},
    answers={304: "Nothing has happened since"},
    summary="Get where a run stands",
)
async def get_runtime_status(call: Call, run_id: str, query: wire.StatusQuery) -> Reply[wire.RuntimeRun] | Reply[None]:
    """Return where a run of any kind stands; its status is in the words of the surface that made it.

    With `wait` it answers when something has happened after `since_seq`, or so many seconds have passed. Who names an
    ETag and no `since_seq` waits for what comes after that.
    """
    reader = call.services.engine.reader(call.actor)

    async def find() -> Stand[wire.RuntimeRun]:
        return stand_of((await reader.run(run_id)).run, run_view)

    return await standing(call, query, find)


@addresses.post(
    routes,
    "/{run_id}/cancel",
    scope="runs:write",
    status=202,
    answers={200: "The run has ended already"},
    summary="Cancel a run of any kind",
)
async def cancel_runtime_run(
    call: Call, run_id: str, body: wire.RuntimeCancelRequest = AS_IT_IS
) -> Reply[wire.RuntimeRun]:
    """Ask a run to stop; its children follow. A run that has ended stays as it is, and that is no error."""
    control, reader = call.services.engine.control, call.services.engine.reader(call.actor)
    try:
        stopped = await control.stop(
            reader, call.actor, run_id, "cancel", reason=body.reason, request_id=call.request_id
        )
    except InvalidTransition:
        return Reply(run_view((await reader.run(run_id)).run, call.services.clock.now()), status=200)
    return Reply(run_view(stopped.run, call.services.clock.now()))
