"""Remediation loops on the runtime surface: start one, and where one stands; all else is at its run."""

from __future__ import annotations

from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, idempotency_key
from runwright.api.routing import Reply, Routes
from runwright.api.runtime import addresses
from runwright.api.runtime import loop_schemas as wire
from runwright.api.runtime.following import Stand, stand_of, standing
from runwright.api.runtime.loop_views import accepted_view, loop_view, order_of
from runwright.api.runtime.run_schemas import StatusQuery
from runwright.domain.run import LOOP, Run
from runwright.errors import NotFound
from runwright.governance.loop_deliveries import Standing

routes = Routes(tag="runtime")

REPLAYED = "Idempotent-Replayed"
MADE = {
    200: "The loop that the idempotency key had made before",
    403: "The mode lets no run write (`MODE_NOT_WRITE_CAPABLE`), or this server makes no runs in it",
    404: "The project, the run, or the route of the model, is not there",
    409: "A loop works at this repository and ref already (`LOOP_ALREADY_ACTIVE`, with its `loop_id`); the idempotency "
    "key was used for another request; there is a limit of money, and the model has no known price (`UNPRICED_MODEL`)",
    422: "The request is not valid, has no ceiling at all (`BUDGET_REQUIRED`), or nothing to repair (`NO_TARGETS`)",
}


@addresses.loop_post(
    routes,
    "",
    scope="runs:write",
    status=202,
    headers=HEADERS,
    answer_headers={"Location": "Where the loop is.", REPLAYED: "`true`: the idempotency key found the loop."},
    answers=MADE,
    summary="Start a remediation loop",
)
async def start_omar_loop(call: Call, body: wire.LoopRequest) -> Reply[wire.LoopAccepted]:
    """Repair a repository until it is clean or a ceiling stops it: patch, verify, keep or put back, again."""
    office = call.services
    project = await office.tenants.resolve_project(call.actor, body.project_id)
    made = await office.loops.create(
        call.actor, project, order_of(body, idempotency_key(call)), request_id=call.request_id, trace_id=call.trace_id
    )
    run = (await office.engine.reader(call.actor).run(made.run_id)).run
    headers = {"location": f"{addresses.LOOPS}/{made.run_id}"} | ({REPLAYED.lower(): "true"} if made.hit else {})
    return Reply(accepted_view(run), status=200 if made.hit else 202, headers=headers)


@addresses.loop_get(
    routes,
    "/{loop_id}",
    scope="runs:read",
    headers={"If-None-Match": "The ETag of what the caller has."},
    answer_headers={"ETag": "Changes with each event of the loop, and of its delivery."},
    answers={304: "Nothing has happened since"},
    summary="Get where a remediation loop stands",
)
async def get_omar_loop(call: Call, loop_id: str, query: StatusQuery) -> Reply[wire.LoopView] | Reply[None]:
    """Return where a loop stands: what it tried, what it keeps, and why it ended.

    With `wait` it answers when something has happened after `since_seq`, to its delivery once it has ended, or so many
    seconds have passed. Who names an
    ETag and no `since_seq` waits for what comes after that.
    """

    async def find() -> Stand[wire.LoopView]:
        run = await _loop(call, loop_id)
        reader = call.services.engine.reader(call.actor)
        return _stand(run, await call.services.loop_deliveries.standing(reader, run))

    return await standing(call, query, find)


def _stand(run: Run, delivery: Standing | None) -> Stand[wire.LoopView]:
    """Return how a loop stands: after its end, what its delivery does is told, too."""
    own = stand_of(run, lambda run, now: loop_view(run, delivery, now))
    if delivery is None or not run.terminal:
        return own
    tag = f"{own.tag}-{delivery.state}-{0 if delivery.run is None else delivery.run.seq}"
    return own._replace(tag=tag, moves=delivery.state in ("under_way", "awaiting_approval"), by=delivery.run)


async def _loop(call: Call, loop_id: str) -> Run:
    """Return the run of a loop. Raises `NotFound`, also for a run that is none."""
    try:
        run = (await call.services.engine.reader(call.actor).run(loop_id)).run
    except NotFound:
        raise NotFound("loop", loop_id) from None
    if run.spec.kind != LOOP:
        raise NotFound("loop", loop_id)
    return run
