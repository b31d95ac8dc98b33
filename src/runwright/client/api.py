"""The client of a Runwright server: `async with AsyncClient(url, api_key) as client: …`."""

import os
from typing import Any, Self

from runwright.client.accounts import Health, Me, Organization, Project, Stats, User
from runwright.client.approvals import Approvals
from runwright.client.artifacts import Artifacts
from runwright.client.backoff import Backoff
from runwright.client.dead_letters import BatchOperations, DeadLetters
from runwright.client.deliveries import Deliveries
from runwright.client.dependencies import Dependencies
from runwright.client.events import Events
from runwright.client.evidence import Evidence
from runwright.client.feed import FeedStream
from runwright.client.jobs import Jobs
from runwright.client.kpi import Kpi
from runwright.client.loops import Loops
from runwright.client.operations import Audit
from runwright.client.personas import Models, Personas, Providers, Routes
from runwright.client.runs import Runs
from runwright.client.runtime import Runtime
from runwright.client.secrets import Environments, Secrets
from runwright.client.tenancy import Collection, Keys, Members, Tickets
from runwright.client.threads import Inputs, Threads
from runwright.client.transport import TIMEOUT_S, Transport, server_url
from runwright.client.usage import Budgets, Usage
from runwright.client.webhooks import Webhooks
from runwright.client.workflows import Workflows
from runwright.client.workforce import Queues, Workers

FEED_BACKOFF = Backoff(attempts=60, initial_s=0.2, max_s=5.0)


class AsyncClient:
    """Call one server. `url` and `api_key` default to `RUNWRIGHT_URL` and `RUNWRIGHT_API_KEY`.

    Calls that fail on the way are tried again where that is safe: reads, triggers (which carry an idempotency key), and
    whatever was never sent. `ApiError` is the server's refusal, `ServerUnreachable` the lack of an answer; both are
    `ClientError`s.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        backoff: Backoff | None = None,
    ) -> None:
        self.transport = transport = Transport(
            server_url(url),
            api_key or os.environ.get("RUNWRIGHT_API_KEY"),
            timeout_s=timeout_s,
            backoff=backoff or Backoff(),
        )
        self.jobs = Jobs(transport)
        self.runs = Runs(transport)
        self.runtime = Runtime(transport)
        self.loops = Loops(transport)
        self.approvals = Approvals(transport)
        self.deliveries = Deliveries(transport)
        self.dlq = DeadLetters(transport)
        self.batches = BatchOperations(transport)
        self.dependencies = Dependencies(transport)
        self.events = Events(transport)
        self.keys = Keys(transport)
        self.audit = Audit(transport)
        self.artifacts = Artifacts(transport)
        self.evidence = Evidence(transport)
        self.organizations = Collection(transport, Organization, "/v1/organizations")
        self.projects = Collection(transport, Project, "/v1/projects")
        self.users = Collection(transport, User, "/v1/users")
        self.members = Members(transport)
        self.tickets = Tickets(transport)
        self.workers = Workers(transport)
        self.queues = Queues(transport)
        self.webhooks = Webhooks(transport)
        self.environments = Environments(transport)
        self.secrets = Secrets(transport)
        self.workflows = Workflows(transport)
        self.threads = Threads(transport)
        self.inputs = Inputs(transport)
        self.personas = Personas(transport)
        self.routes = Routes(transport)
        self.models = Models(transport)
        self.providers = Providers(transport)
        self.usage = Usage(transport)
        self.budgets = Budgets(transport)
        self.kpi = Kpi(transport)

    @property
    def url(self) -> str:
        """The address of the server."""
        return self.transport.url

    async def me(self) -> Me:
        """Return who the caller is, and what it may do."""
        return await self.transport.one(Me, "GET", "/v1/me")

    def feed(self, *, project_id: str | None = None, backoff: Backoff = FEED_BACKOFF) -> FeedStream:
        """Return the state changes of all runs that the key may see, or of one project; see `FeedStream`."""
        return FeedStream(self.transport, project_id, backoff)

    async def stats(
        self, *, project_id: str | None = None, job_id: str | None = None, window: str | None = None
    ) -> Stats:
        """Return what became of runs in the last `window` (`30m`, `24h`, `7d`), of all, a project or a job."""
        params = {"project_id": project_id, "job_id": job_id, "window": window}
        return await self.transport.one(Stats, "GET", "/v1/stats", params=params)

    async def health(self) -> Health:
        """Return what the server says of itself; needs no key."""
        return await self.transport.one(Health, "GET", "/healthz")

    async def event_schemas(self) -> dict[str, Any]:
        """Return the catalogue of events: type → JSON Schema (2020-12) of its data."""
        schemas: dict[str, Any] = (await self.transport.send("GET", "/v1/schemas/events")).json()
        return schemas

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()
