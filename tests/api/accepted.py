"""Runs that an endpoint has accepted: a server, an endpoint on this machine, and clients with its tokens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from runwright.domain.events import Event
from tests.api.served import Served, ok, serving
from tests.executors import endpoint as e
from tests.executors.endpoint import Endpoint, always, answer

ACCEPTED = answer(status="202 Accepted")
AT_ONCE = {"retry_strategy": "fixed", "retry_initial_delay_secs": 0, "retry_jitter": "none"}
PATIENCE_S = 30


class Entrusted(NamedTuple):
    """A run that the endpoint works on, the token of its lease, and a client with it."""

    run_id: str
    token: str
    client: httpx2.AsyncClient

    async def call(self, verb: str, body: Any = None, status: int = 201) -> Any:
        """Post to the run, and return what it is answered."""
        options: Any = {} if body is None else {"json": body}
        return await ok(self.client.post(self.path(verb), **options), status)

    async def get(self, what: str) -> Any:
        """Return what the run reads."""
        return await ok(self.client.get(self.path(what)))

    def path(self, verb: str) -> str:
        """Return the path of a call."""
        return f"/sdk/v1/runs/{self.run_id}/{verb}"


class Scene(NamedTuple):
    """A server and the endpoint of its http jobs."""

    server: Served
    endpoint: Endpoint

    async def job(self, slug: str = "hook", **fields: Any) -> dict[str, Any]:
        """Make a job of the endpoint."""
        body = {"slug": slug, "execution_mode": "http", "endpoint_url": self.endpoint.url, **AT_ONCE, **fields}
        made: dict[str, Any] = await ok(self.server.admin.post("/v1/jobs", json=body), 201)
        return made

    async def accepted(self, payload: dict[str, Any] | None = None, slug: str = "hook", **fields: Any) -> Entrusted:
        """Start a run and return it when the endpoint has accepted it."""
        body = {"payload": payload or {}} | fields
        run = await ok(self.server.admin.post(f"/v1/jobs/{slug}/trigger", json=body), 201)
        return await self.entrusted(run["id"])

    async def entrusted(self, run_id: str, times: int = 1) -> Entrusted:
        """Return a run when the endpoint has accepted it so many times."""
        await self.seen(run_id, "run.accepted", times)
        sent = [each for each in self.endpoint.received if each.headers["runwright-run-id"] == run_id][-1]
        token = sent.headers["runwright-run-token"]
        return Entrusted(run_id, token, self.server.client(token))

    async def seen(self, run_id: str, type: str, times: int = 1) -> None:
        """Return when the run's log has so many events of a type."""
        hub = self.server.house.services.engine.hub
        async with asyncio.timeout(PATIENCE_S):
            async for frames in hub.follow(run_id, 0, _type):
                times -= frames.split().count(type.encode())
                if times <= 0:
                    return
        raise AssertionError(f"the run ended without {type}")

    async def run(self, run_id: str) -> dict[str, Any]:
        """Return a run as readers see it."""
        found: dict[str, Any] = await ok(self.server.admin.get(f"/v1/runs/{run_id}"))
        return found

    async def events(self, run_id: str, type: str | None = None) -> list[dict[str, Any]]:
        """Return a run's events."""
        params = {"limit": 500} | ({} if type is None else {"type": type})
        found: list[dict[str, Any]] = await ok(self.server.admin.get(f"/v1/runs/{run_id}/events", params=params))
        return found

    async def ended(self, run_id: str) -> dict[str, Any]:
        """Follow a run to its end and return it."""
        async with asyncio.timeout(PATIENCE_S):
            await self.server.admin.get(f"/v1/runs/{run_id}/stream")
        return await self.run(run_id)


def _type(event: Event) -> bytes:
    return event.type.encode() + b"\n"


@asynccontextmanager
async def scene(directory: Path, **settings: Any) -> AsyncIterator[Scene]:
    """Serve over a directory, with an endpoint that accepts whatever it is sent."""
    usual: dict[str, Any] = {"allow_private_endpoints": True, "stop_grace_s": 30, "drain_s": 1}
    async with e.serving(always(ACCEPTED)) as endpoint, serving(directory, **usual | settings) as served:
        yield Scene(served, endpoint)
