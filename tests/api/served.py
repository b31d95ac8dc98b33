"""The whole server over a real SQLite file, without its door: requests go to the application in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from runwright import config
from runwright.app import House, open_house
from tests import empty_file
from tests.waiting import PATIENCE_S

RUN, STATUS = "/v1/runs/{}", "/api/v1/runs/{}/status"


class Served:
    """A server that was just started for the first time, or another one of the same database; and clients of it."""

    def __init__(self, house: House, token: str | None = None) -> None:
        self.house = house
        token = token or house.api_key
        assert token is not None
        self.admin_token = token
        self.admin = self.client(self.admin_token)

    def client(self, token: str | None) -> httpx2.AsyncClient:
        """Return a client with a token; without one, a stranger."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        transport = httpx2.ASGITransport(app=self.house.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers)

    async def key(self, *scopes: str, by: httpx2.AsyncClient | None = None, **fields: Any) -> httpx2.AsyncClient:
        """Make a key and return a client with it."""
        body = {"name": "a key", "scopes": scopes, **fields}
        response = await (by or self.admin).post("/v1/keys", json=body)
        assert response.status_code == 201, response.text
        return self.client(response.json()["token"])

    async def neighbour(self, slug: str = "acme") -> httpx2.AsyncClient:
        """Found another organization and return its admin's client."""
        response = await self.admin.post("/v1/organizations", json={"slug": slug})
        assert response.status_code == 201, response.text
        return self.client(response.json()["token"])

    async def seen(self, run_id: str, enough: Callable[[dict[str, Any]], object], path: str = STATUS) -> dict[str, Any]:
        """Return what is shown of a run once that is enough; it is asked for with all news of the run."""
        shown: dict[str, Any] = {}
        news = self.house.services.engine.hub.events(run_id, 0)
        async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(news):
            async for _ in news:
                shown = await ok(self.admin.get(path.format(run_id)))
                if enough(shown):
                    return shown
        raise AssertionError(f"the run ended, and this was shown of it at last: {shown}")

    async def ended(self, run_id: str) -> dict[str, Any]:
        """Follow a run to its end and return it."""
        return await self.seen(run_id, lambda run: run["finished_at"], RUN)


@asynccontextmanager
async def serving(data_dir: Path | str, **settings: Any) -> AsyncIterator[Served]:
    """Open a server over a data directory and close it again."""
    if "database_url" not in settings:
        empty_file.put_into(Path(data_dir))
    async with open_house(config.load({}, overrides={"data_dir": data_dir, **settings})) as house:
        yield Served(house)


@asynccontextmanager
async def serving_beside(first: Served, data_dir: Path, **settings: Any) -> AsyncIterator[Served]:
    """Open another server over the database of the first."""
    async with open_house(config.load({}, overrides={"data_dir": data_dir, **settings})) as house:
        yield Served(house, first.admin_token)


async def ok(call: Any, status: int = 200) -> Any:
    """Return the JSON of a response that has this status."""
    response: httpx2.Response = await call
    assert response.status_code == status, response.text
    return response.json() if response.content else None


async def refused(call: Any, status: int, code: str) -> dict[str, Any]:
    """Return the details of a refusal that has this status and code."""
    response: httpx2.Response = await call
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    details: dict[str, Any] = response.json()["details"] or {}
    return details
