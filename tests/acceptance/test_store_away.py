"""While PostgreSQL is away every route says so, and when to come back; none hangs, and none pretends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runwright.api.routing import Endpoint
from tests.acceptance.live_server import LiveServer
from tests.acceptance.routes import each_of
from tests.acceptance.speech import problem
from tests.acceptance.table import GUARDED, World, found_world
from tests.engine.databases import MASTER_KEY
from tests.faults.proxy import Proxy
from tests.postgres import new_database

pytestmark = pytest.mark.xdist_group("acceptance-store-away")

BY_HEART = {"get_metrics": 200}
"""The routes that need no database, with what they answer."""
SOON_S = 5.0


@pytest.fixture(scope="module")
async def away(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Make one of everything, and take PostgreSQL away."""
    with new_database() as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with Proxy.to(port) as proxy:
            settings: dict[str, Any] = {"database_url": url.replace(str(port), str(proxy.port)), "key_cache_s": 300}
            live = LiveServer(tmp_path_factory.mktemp("away"), master_key=MASTER_KEY, **settings)
            await live.start()
            world = await found_world(live, live.client(), None)
            proxy.accepting = "refused"
            proxy.reset()
            yield world
            proxy.heal()
            await live.close()


@each_of(GUARDED)
async def test_each_route_says_503_and_when_to_come_back(away: World, endpoint: Endpoint):
    async with asyncio.timeout(SOON_S):
        answer = await away.ask(endpoint)
    if endpoint.name in BY_HEART:
        assert answer.status_code == BY_HEART[endpoint.name]
        return
    assert answer.status_code == 503, f"{answer.status_code}: {answer.text[:300]}"
    assert int(answer.headers["retry-after"]) > 0
    assert problem(answer)["code"].lower().replace("_", ".", 1) == "store.unavailable"
