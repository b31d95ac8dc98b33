"""A small surface of its own: every way in and out of the routing, over services that are real but for who asks."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import msgspec
import pytest

from runwright import config
from runwright.api.app import build
from runwright.api.context import ANYONE, PUBLIC, Call, Services
from runwright.api.pages import Page, PageQuery
from runwright.api.rates import Rates
from runwright.api.routing import Reply, Routes
from runwright.api.sse import EventStream, Streams
from runwright.clock import FrozenClock
from runwright.domain.tenancy import Actor
from runwright.errors import (
    IdempotencyMismatch,
    InvalidTransition,
    NotFound,
    Overloaded,
    RunEnded,
    StoreReadOnly,
    StoreUnavailable,
    Unauthenticated,
)
from runwright.ids import new_id

ACTOR = Actor(kind="user", id="user_1", org_id="org_1", key_id="key_1", scopes=frozenset({"jobs:read", "jobs:trigger"}))
READER = Actor(kind="service", id="robot", org_id="org_1", key_id="key_2", scopes=frozenset({"jobs:read"}))


class KnownTokens:
    """Stands at the port of authentication: tokens and whose they are."""

    def __init__(self) -> None:
        self.actors = {"rw_good": ACTOR, "rw_reader": READER}

    def believed(self, token: str | None, project: str | None = None) -> Actor | None:
        return self.actors.get(token or "")

    async def authenticate(self, token: str | None, project: str | None = None) -> Actor:
        if token is None or token not in self.actors:
            raise Unauthenticated
        return self.actors[token]

    async def again(self, actor: Actor) -> Actor:
        if actor not in self.actors.values():
            raise Unauthenticated
        return actor


class Tick(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    count: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    payload: dict[str, Any] = {}
    tags: list[str] = []


class Ticks(msgspec.Struct, forbid_unknown_fields=True):
    items: list[Tick] = []


class Filter(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: tuple[str, ...] = ()
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    enabled: bool | None = None


class Reason(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = "none given"


class Source:
    """Gives a stream what the test puts in."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.emptied = asyncio.Event()
        self.closed = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        item = await self.items.get()
        if self.items.empty():
            self.emptied.set()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed.set()


class Kit:
    """The surface, what it stands on, and what reached its handlers."""

    def __init__(self, **settings: Any) -> None:
        self.settings = config.load({}, overrides=settings)
        self.clock = FrozenClock()
        self.tokens = KnownTokens()
        self.streams = Streams(self.settings)
        self.source = Source()
        self.reached: list[Any] = []
        self.rows = [new_id("run", self.clock.now() + n) for n in range(7)]
        self.gate = asyncio.Event()
        self.routes = surface(self)
        # Routing asks the services for these alone; what only handlers ask for, this surface has no handler of.
        used: dict[str, Any] = {
            "settings": self.settings,
            "clock": self.clock,
            "authenticator": self.tokens,
            "streams": self.streams,
            "rates": Rates("key", self.settings.rate_per_s, self.settings.rate_burst, 1000, self.clock),
            "strangers": Rates("address", self.settings.auth_failures_per_s, 3, 1000, self.clock),
        }
        whole: dict[str, Any] = {each.name: used.get(each.name) for each in dataclasses.fields(Services)}
        self.services = Services(**whole)
        self.app = build([self.routes], self.services)

    def client(self, token: str | None = "rw_good") -> httpx2.AsyncClient:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers)


def surface(kit: Kit) -> Routes:
    routes = Routes(tag="ticks")

    @routes.post("/v1/ticks/{tick}", scope="jobs:trigger", status=201, summary="Make a tick")
    async def make(call: Call, tick: str, body: Tick) -> Tick:
        kit.reached.append((tick, body))
        return body

    @routes.post("/v1/ticks/{tick}:stop", scope="jobs:trigger", summary="Stop a tick")
    async def stop(call: Call, tick: str, body: Reason = Reason()) -> dict[str, str]:  # noqa: B008 - never changed
        return {"stopped": tick, "reason": body.reason}

    @routes.post("/v1/ticks/bulk", scope="jobs:trigger", limit="bulk_body_max_bytes", summary="Make many")
    async def bulk(call: Call, body: Ticks) -> Reply[list[Tick]]:
        return Reply(body.items, 207, {"X-Batch-Id": "batch_1"})

    @routes.post("/v1/ticks/{tick}/poke", scope="jobs:trigger", status=204, summary="Poke a tick")
    async def poke(call: Call, tick: str) -> None:
        return None

    @routes.get("/v1/ticks/{tick}", scope="jobs:read", summary="Get a tick")
    async def get(call: Call, tick: str) -> dict[str, str]:
        return {"id": tick, "org": call.actor.org_id}

    @routes.get("/v1/ticks", scope="jobs:read", summary="List ticks")
    async def list_ticks(call: Call, query: Filter) -> Page[str]:
        kit.reached.append(query)
        window = query.window(kit.settings, order="desc")
        bound = window.bound("run")
        rows = sorted(kit.rows, reverse=window.newest_first)
        if bound is not None:
            rows = [row for row in rows if (row < bound if window.newest_first else row > bound)]
        return Page.of(rows[: window.limit + 1], window, view=str, key=str)

    @routes.get("/v1/ticks/{tick}/stream", scope="jobs:read", summary="Follow a tick", answers={204: "It has ended"})
    async def follow(call: Call, tick: str) -> EventStream | list[str]:
        return call.stream(kit.source)

    @routes.get("/v1/slow", scope=PUBLIC, summary="Wait for the test")
    async def slow(call: Call) -> str:
        kit.reached.append("slow")
        await kit.gate.wait()
        return "done"

    @routes.get("/v1/who", scope=ANYONE, summary="Who asks", headers={"Prefer": "What you prefer"})
    async def who(call: Call) -> dict[str, str | None]:
        return {"who": call.actor.label, "prefer": call.header("prefer"), "path": call.request.url.path}

    @routes.get("/v1/fail/{how}", scope=PUBLIC, summary="Fail", answers={410: "Gone"})
    async def fail(call: Call, how: str) -> None:
        failures: dict[str, Exception] = {
            "not_found": NotFound("run", "run_x"),
            "transition": InvalidTransition(data={"state": "completed"}),
            "idempotency": IdempotencyMismatch(),
            "overloaded": Overloaded(retry_after_s=2.5),
            "store": StoreUnavailable(),
            "read_only": StoreReadOnly(),
            "gone": RunEnded(),
            "deep": RecursionError(),
        }
        raise failures.get(how, ZeroDivisionError("open sesame"))

    @routes.get("/api/v1/fail", scope=PUBLIC, summary="Fail as the runtime does")
    async def fail_runtime(call: Call) -> None:
        raise NotFound("run", "run_x")

    return routes


@pytest.fixture
def kit() -> Kit:
    return Kit()
