"""The routes of deliveries: trees of runs become commits, branches and pull requests, once people have allowed it."""

from __future__ import annotations

from runwright.api.context import Call
from runwright.api.routing import Routes
from runwright.api.runtime import addresses
from runwright.api.runtime import delivery_schemas as wire
from runwright.api.runtime.delivery_views import runs_view, view, wanted_of
from runwright.domain.accounts import Project
from runwright.errors import InvalidRequest
from runwright.governance.deliveries import Asked
from runwright.governance.delivery_order import DeliveryOrder

routes = Routes(tag="deliveries")
PLAIN = wire.DeliverRunRequest()
AWAY = {503: "The forge does not answer, for any of them (`FORGE_UNAVAILABLE`)"}


@addresses.post(
    routes,
    "/git/pr/checkpoints",
    scope="runs:write",
    answers=AWAY
    | {422: "Also: no runs, too many, or one twice (`EMPTY_RUN_IDS`, `TOO_MANY_RUN_IDS`, `DUPLICATE_RUN_IDS`)"},
    summary="Commit, push and open pull requests for what runs made",
)
async def deliver_runs(call: Call, body: wire.DeliverRunsRequest) -> wire.DeliveredRuns:
    """Deliver several runs; each has its own result. What people must allow first is told as `APPROVAL_MISSING`.

    The same call after that goes on; one that has come about changes nothing, and tells the same commit and request.
    """
    strange = [run_id for run_id in body.per_run if run_id not in body.run_ids]
    if strange:
        raise InvalidRequest.at("per_run", f"{strange[0]} is none of run_ids")
    runs = tuple((run_id, wanted_of(body, body.per_run.get(run_id))) for run_id in body.run_ids)
    order = DeliveryOrder(runs=runs, on_error=body.on_error, dry_run=body.dry_run, ask_again=body.ask_again)
    return runs_view(await call.services.deliveries.deliver(_asked(call), order))


@addresses.post(
    routes,
    "/{run_id}/git/pr",
    scope="runs:write",
    answers=AWAY,
    summary="Commit, push and open a pull request for what a run made",
)
async def deliver_run(call: Call, run_id: str, body: wire.DeliverRunRequest = PLAIN) -> wire.Delivered:
    """Deliver a run, as one of several is delivered. That of a loop whose order says how is delivered so by default."""
    await call.services.engine.reader(call.actor).run(run_id)
    order = DeliveryOrder(runs=((run_id, wanted_of(body, None)),), dry_run=body.dry_run, ask_again=body.ask_again)
    return view((await call.services.deliveries.deliver(_asked(call), order)).items[0])


def _asked(call: Call) -> Asked:
    async def project(ident: str) -> Project:
        return await call.services.tenants.resolve_project(call.actor, ident)

    return Asked(call.actor, project, call.request_id, call.trace_id)
