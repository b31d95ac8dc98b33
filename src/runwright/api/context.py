"""Hand a handler what it may know about its request: who asks, under which ids, and the services that answer."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from random import getrandbits
from typing import Protocol

from starlette.requests import Request
from starlette.types import Receive, Scope

from runwright import ids
from runwright.agents.agents import Agents
from runwright.api.rates import Rates, neighbourhood
from runwright.api.sse import EventStream, Streams
from runwright.auth.run_tokens import PREFIX as RUN_TOKEN
from runwright.auth.run_tokens import RunToken
from runwright.auth.tenants import Tenants
from runwright.auth.tickets import Ticket, Tickets
from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.tenancy import Actor
from runwright.engine.engine import Engine
from runwright.engine.jobs import Jobs
from runwright.errors import InvalidRequest, Unauthenticated
from runwright.governance.approvals import Approvals
from runwright.governance.deliveries import Deliveries
from runwright.governance.evidence import Evidence
from runwright.governance.keyboard import Keyboard
from runwright.governance.loop_deliveries import LoopDeliveries
from runwright.governance.loops import Loops
from runwright.governance.recordings import Digests
from runwright.governance.runs import RuntimeRuns

PUBLIC = "public"
"""The scope of a route that needs no credentials."""
ANYONE = "anyone"
"""The scope of a route that any valid credentials may use."""

_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


class Authenticator(Protocol):
    """Tell whose credentials these are."""

    def believed(self, token: str | None, project: str | None = None) -> Actor | None:
        """Return the actor of a token that was checked a moment ago, or None."""
        ...

    async def authenticate(self, token: str | None, project: str | None = None) -> Actor:
        """Return the actor of a token, bound to one project if one is named, or raise `Denied`."""
        ...

    async def again(self, actor: Actor) -> Actor:
        """Return a caller as it is now, without its token, or raise `Denied`."""
        ...


class Health(Protocol):
    """Look at everything that the server needs."""

    async def checks(self) -> dict[str, str]:
        """Return each check by name: `ok`, or what is wrong."""
        ...


class MetricsPage(Protocol):
    """Write out the metrics of this server."""

    async def page(self, accept: str | None) -> tuple[bytes, str]:
        """Return them and their media type, by what the scraper accepts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Hold what handlers call; `app.py` makes one for the process."""

    settings: Settings
    clock: Clock
    authenticator: Authenticator
    streams: Streams
    engine: Engine
    agents: Agents
    tenants: Tenants
    health: Health
    metrics: MetricsPage
    rates: Rates
    strangers: Rates
    tickets: Tickets
    evidence: Evidence
    runtime: RuntimeRuns
    loops: Loops
    approvals: Approvals
    keyboard: Keyboard
    deliveries: Deliveries
    loop_deliveries: LoopDeliveries
    digests: Digests

    @property
    def lease_us(self) -> int:
        """Return how long a lease is, in microseconds."""
        return int(self.settings.lease_s * 1_000_000)

    @property
    def jobs(self) -> Jobs:
        """Return the verbs of jobs."""
        return self.engine.jobs


class Call:
    """Describe one request to its handler."""

    __slots__ = (
        "_actor", "_demand", "answered", "began", "headers", "lease", "rate", "receive", "request_id", "scope",
        "services", "ticket", "token", "trace_id",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, services: Services) -> None:
        """Read the request's headers; a malformed `X-Request-Id` or `traceparent` counts as not sent."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self.scope = scope
        self.receive = receive
        self.services = services
        self.headers = headers
        self.token = _token(headers)
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            self.request_id = given.decode("ascii")
        else:
            self.request_id = ids.new_id("req", services.clock.now())
        parent = headers.get(b"traceparent")
        joined = _TRACEPARENT.fullmatch(parent) if parent is not None else None
        self.trace_id = joined[1].decode("ascii") if joined else f"{getrandbits(128) or 1:032x}"
        self.answered = False
        self.began = services.clock.monotonic()
        self.rate: bytes | None = None
        self.ticket: Ticket | None = None
        self.lease: RunToken | None = None
        self._actor: Actor | None = None
        self._demand = PUBLIC

    @property
    def actor(self) -> Actor:
        """Return who asks; a route of scope `PUBLIC` does not know it."""
        if self._actor is None:
            raise RuntimeError("a public route has no actor")
        return self._actor

    @property
    def request(self) -> Request:
        """Return the request as Starlette shows it, for what is rarely needed."""
        return Request(self.scope, self.receive)

    def header(self, name: str) -> str | None:
        """Return a request header by its lower-case name."""
        value = self.headers.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    async def admit(self, demand: str, *, run_tokens: bool = False) -> None:
        """Let the caller in: raise `Unauthenticated` without valid credentials, `MissingScope` without the scope.

        Where `run_tokens` are let in, `lease` is what such a token was minted for, and there is no actor.
        """
        self._demand = demand
        if demand == PUBLIC:
            return
        if run_tokens and self.token is not None and self.token.startswith(RUN_TOKEN):
            with self._counted_failures():
                self.lease = self.services.tenants.run_tokens.read(self.token)
                if self.lease is None:
                    raise Unauthenticated
            return
        if b"ticket=" in self.scope["query_string"] and self.scope["method"] == "GET":
            await self._show_ticket()
        actor = await self._authenticated()
        rates = self.services.rates
        if rates.on:
            self.rate = rates.spent
            self.rate = rates.take(actor.key_id or actor.label)
        if demand != ANYONE:
            actor.require(demand)
        self._actor = actor

    def stream(self, source: AsyncIterator[bytes]) -> EventStream:
        """Answer with a stream; raise `RateLimited` when the caller's key has as many as it may."""
        key = self.actor.key_id or self.actor.label
        return self.services.streams.open(source, key=key, recheck=self.recheck)

    @asynccontextmanager
    async def departure(self) -> AsyncIterator[asyncio.Event]:
        """Watch, once the body was read, whether the caller goes away: the event is set as it does."""
        gone = asyncio.Event()

        async def watch() -> None:
            while (await self.receive())["type"] != "http.disconnect":
                pass
            gone.set()

        watching = asyncio.create_task(watch())
        try:
            yield gone
        finally:
            watching.cancel()

    async def recheck(self, also: str | None = None) -> None:
        """Admit the caller again, as a long stream does from time to time; the actor stays the same.

        `also` is a scope that what the caller does now needs beside.
        """
        if self.ticket is not None:
            await self.services.tickets.keep(self.ticket)
        actor = await self._authenticated()
        if self._demand not in (PUBLIC, ANYONE):
            actor.require(self._demand)
        if also is not None:
            actor.require(also)

    async def _authenticated(self) -> Actor:
        authenticator = self.services.authenticator
        if self.ticket is not None:
            return await authenticator.again(self.ticket.actor)
        project = self.header("x-project-id")
        believed = authenticator.believed(self.token, project)
        if believed is not None:
            return believed
        if self.token is None:
            raise Unauthenticated
        with self._counted_failures():
            return await authenticator.authenticate(self.token, project)

    async def _show_ticket(self) -> None:
        """Take the ticket out of the query, so that nothing that reads or tells it sees the ticket."""
        parts: list[bytes] = self.scope["query_string"].split(b"&")
        shown = [part[7:].decode("latin-1") for part in parts if part.startswith(b"ticket=")]
        if not shown:
            return
        if self.token is not None or len(shown) > 1:
            raise InvalidRequest.at("ticket", "must be the only credentials: leave out the header, and give one ticket")
        self.scope["query_string"] = b"&".join(part for part in parts if not part.startswith(b"ticket="))
        with self._counted_failures():
            self.ticket = await self.services.tickets.enter(shown[0], self.scope["path"])

    @contextmanager
    def _counted_failures(self) -> Iterator[None]:
        """Refuse an address that has shown too many wrong credentials, and count those that it shows now.

        Credentials that were believed a moment ago do not come here: whoever shares an address with a guesser goes on.
        """
        strangers, client = self.services.strangers, self.scope.get("client")
        address = neighbourhood(client[0]) if client and strangers.on else None
        if address is not None:
            strangers.require(address)
        try:
            yield
        except Unauthenticated:
            if address is not None:
                strangers.take(address)
            raise


def _token(headers: dict[bytes, bytes]) -> str | None:
    given = headers.get(b"authorization")
    if given is not None and given[:7].lower() == b"bearer ":
        return given[7:].strip().decode("latin-1")
    key = headers.get(b"x-api-key")
    return None if key is None else key.strip().decode("latin-1")
