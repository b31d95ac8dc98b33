"""Erasing the data of a run."""

from __future__ import annotations

from runwright.api.context import Call
from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.views import run_view
from runwright.api.routing import Routes

routes = Routes(tag="runs")


@routes.post("/v1/runs/{run_id}/erase", scope="data:erase", summary="Erase the data of a run")
async def erase_run(call: Call, run_id: str) -> wire.Run:
    """Erase what users and jobs wrote into a run that has ended; its log stays, without data, and still verifies."""
    office = call.services
    reader = office.engine.reader(call.actor)
    record = await office.engine.operations.eraser.erase(reader, call.actor, run_id)
    office.digests.forget(run_id)
    return run_view(reader, record, office.clock.now(), office.lease_us)
