"""Short sentences for what the tests ask of the API."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx2

from runwright.api.errors import RUNTIME, runtime_code
from tests.acceptance.contract import ContractClient
from tests.acceptance.frames import event_bytes, events

Json = dict[str, Any]
SSE = {"accept": "text/event-stream"}
PATIENCE_S = 60.0

_numbers = itertools.count(1)


def unique(stem: str) -> str:
    """Return a slug that no other test of this process has."""
    return f"{stem}-{next(_numbers)}"


def later(instant: str, **by: float) -> str:
    """Return an instant of the wire moved on by days, hours, seconds."""
    return (datetime.fromisoformat(instant) + timedelta(**by)).isoformat()


async def said(call: Any, status: int = 200) -> Any:
    """Return the JSON of an answer that has this status."""
    response: httpx2.Response = await call
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    return response.json() if response.content else None


async def refused(call: Any, status: int, code: str) -> Json:
    """Return the details of a refusal that has this status and code."""
    response: httpx2.Response = await call
    assert (response.status_code, problem(response)["code"]) == (status, word(response, code)), response.text
    details: Json = problem(response)["details"] or {}
    return details


def problem(response: httpx2.Response) -> Json:
    """Return what an error says, in the shape of either surface."""
    told: Json = response.json()
    return told["error"] if isinstance(told["error"], dict) else told


def word(response: httpx2.Response, code: str) -> str:
    """Return a code as the surface that answered says it."""
    return runtime_code(code) if response.request.url.path.startswith(RUNTIME) else code


class Speech:
    """The API of one caller."""

    def __init__(self, client: ContractClient) -> None:
        self.client = client

    async def project(self) -> str:
        """Make a project and return its id."""
        made = await said(self.client.post("/v1/projects", json={"slug": unique("project")}), 201)
        return str(made["id"])

    async def job(self, handler: str, **fields: Any) -> str:
        """Make a job of a handler and return its id; what nobody executes stands in no line of other tests."""
        own = {"queue": unique("nobody")} if handler.startswith("nobody") else {}
        fields = {"slug": unique(handler), "handler": handler, "retry_initial_delay_secs": 0, **own, **fields}
        made = await said(self.client.post("/v1/jobs", json=fields), 201)
        return str(made["id"])

    async def flow(self, steps: Iterable[Json], **fields: Any) -> Json:
        """Make a workflow and return it."""
        body = {"slug": unique("flow"), "steps": list(steps), **fields}
        made: Json = await said(self.client.post("/v1/workflows", json=body), 201)
        return made

    async def launch(self, workflow: str, payload: Json | None = None, **fields: Any) -> Json:
        """Start a run of a workflow and return it."""
        body = {"payload": payload or {}, **fields}
        run: Json = await said(self.client.post(f"/v1/workflows/{workflow}/trigger", json=body), 201)
        return run

    async def steps(self, run_id: str) -> dict[str, Json]:
        """Return the steps of a workflow's run by their keys."""
        found = await said(self.client.get(f"/v1/workflow-runs/{run_id}/steps"))
        return {step["step_key"]: step for step in found}

    async def key(self, *scopes: str, **fields: Any) -> Json:
        """Make a key and return it with its token."""
        made: Json = await said(self.client.post("/v1/keys", json={"name": "a key", "scopes": scopes, **fields}), 201)
        return made

    async def trigger(self, job: str, payload: Json | None = None, *, status: int = 201, **fields: Any) -> Json:
        """Start a run and return it."""
        run: Json = await said(
            self.client.post(f"/v1/jobs/{job}/trigger", json={"payload": payload or {}, **fields}), status
        )
        return run

    async def bulk(self, job: str, items: Iterable[Json]) -> Json:
        """Start many runs and return the answer."""
        answer: Json = await said(self.client.post(f"/v1/jobs/{job}/trigger/bulk", json={"items": list(items)}), 201)
        return answer

    async def run(self, run_id: str) -> Json:
        """Return a run."""
        run: Json = await said(self.client.get(f"/v1/runs/{run_id}"))
        return run

    async def runs(self, **params: Any) -> list[Json]:
        """Return a page of runs."""
        found: list[Json] = await said(self.client.get("/v1/runs", params=params))
        return found

    async def done(self, job: str, payload: Json | None = None, **fields: Any) -> Json:
        """Start a run and return it when it has ended."""
        return await self.ended((await self.trigger(job, payload, **fields))["id"])

    async def ended(self, run_id: str) -> Json:
        """Follow a run to its end and return it."""
        await self.stream(run_id)
        run = await self.run(run_id)
        assert run["state"] in ("completed", "failed", "cancelled", "expired"), run
        return run

    async def verb(self, run_id: str, verb: str, **body: Any) -> Json:
        """Pause, resume, or do another verb that answers with a run."""
        run: Json = await said(self.client.post(f"/v1/runs/{run_id}/{verb}", json=body or None))
        return run

    async def listed(self, path: str, **params: Any) -> list[Json]:
        """Return all rows of a list, page by page."""
        rows: list[Json] = []
        cursor: str | None = None
        while True:
            asked = params if cursor is None else {**params, "cursor": cursor}
            response = await self.client.get(path, params=asked)
            assert response.status_code == 200, response.text
            rows += response.json()
            cursor = response.headers.get("x-next-cursor")
            if cursor is None:
                return rows

    async def events(self, run_id: str, **params: Any) -> list[Json]:
        """Return the events of a run as JSON."""
        return await self.listed(f"/v1/runs/{run_id}/events", limit=500, **params)

    async def stream(self, run_id: str, *, path: str = "stream", last: int | str | None = None, **params: Any) -> bytes:
        """Return the bytes of the event frames of a run's stream, to its end."""
        raw = await self.raw_stream(run_id, path=path, last=last, **params)
        return event_bytes(raw)

    async def raw_stream(
        self, run_id: str, *, path: str = "stream", last: int | str | None = None, **params: Any
    ) -> bytes:
        """Return all bytes of a run's stream, to its end; nothing where the answer is 204."""
        headers = SSE if last is None else {**SSE, "last-event-id": str(last)}
        async with self.client.stream("GET", f"/v1/runs/{run_id}/{path}", params=params, headers=headers) as response:
            assert response.status_code in (200, 204), response.text
            async with asyncio.timeout(PATIENCE_S):
                return await response.aread()

    async def until(self, run_id: str, type: str, count: int = 1) -> Json:
        """Follow a run until an event of this type is there (so many times) and return it."""
        async with asyncio.timeout(PATIENCE_S), self.following(run_id, types=type) as found:
            async for event in found:
                count -= 1
                if not count:
                    return event
        raise AssertionError(f"{run_id} ended without {type}")

    @asynccontextmanager
    async def following(self, run_id: str, **params: Any) -> AsyncIterator[AsyncIterator[Json]]:
        """Follow a run, event by event."""
        async with self.client.stream("GET", f"/v1/runs/{run_id}/stream", params=params, headers=SSE) as response:
            assert response.status_code == 200, response.text

            async def found() -> AsyncIterator[Json]:
                raw = b""
                async for part in response.aiter_raw():
                    raw += part
                    whole, mark, raw = raw.rpartition(b"\n\n")
                    for event in events(whole + mark):
                        yield event

            yield found()
