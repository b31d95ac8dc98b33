"""Signs of life: `/healthz` says that the process answers, `/readyz` whether it should be sent work."""

from __future__ import annotations

from importlib.metadata import version

import msgspec

from runwright.api.context import PUBLIC, Call
from runwright.api.routing import Reply, Routes

routes = Routes(tag="health")

VERSION = version("runwright")


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str
    version: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the server can do its work, check by check: `ok`, what is wrong, or `degraded: …` if it does without."""

    status: str
    checks: dict[str, str]


@routes.get("/healthz", scope=PUBLIC, summary="Tell that the process answers")
async def get_health(call: Call) -> Health:
    """Answer as long as the process can."""
    return Health("ok", VERSION)


@routes.get(
    "/readyz", scope=PUBLIC, summary="Tell whether the server is ready for work", answers={503: "It is not, see checks"}
)
async def get_readiness(call: Call) -> Readiness | Reply[Readiness]:
    """Write a transaction and read, look at the loops, the backlog and the bus, and tell whether the server drains."""
    checks = await call.services.health.checks()
    wrong = [found for found in checks.values() if found != "ok"]
    if all(found.startswith("degraded:") for found in wrong):
        return Readiness("degraded" if wrong else "ready", checks)
    return Reply(Readiness("not ready", checks), status=503, headers={"retry-after": "1"})
