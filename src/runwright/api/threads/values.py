"""The route of what agent runs keep by digest."""

from __future__ import annotations

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.routing import Routes
from runwright.api.threads import schemas as wire

routes = Routes("threads")
ERASED = {410: "The data of the run were erased, or removed by retention"}


@routes.get(
    "/v1/runs/{run_id}/values/{digest}",
    scope="prompts:read",
    answers=ERASED,
    summary="Get what an agent run keeps under a digest",
)
async def get_run_value(call: Call, run_id: str, digest: str) -> wire.RunValue:
    """Return a prompt (`llm.request`), a long output (`tool.result`) or the last workspace, redacted."""
    office = call.services
    found = await office.agents.kept.find(office.engine.reader(call.actor), run_id, digest)
    return wire.RunValue(
        run_id=run_id,
        digest=digest,
        kind=found.kind,
        value=found.value,
        truncated=found.truncated,
        created_at=instants.text(found.created_at),
    )
