"""The composition root: settings → store → engine → executors → surfaces. Only this module knows concrete classes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.types import ASGIApp

from runwright.agents.agents import Agents
from runwright.api.app import build
from runwright.api.context import Services
from runwright.api.rates import Rates
from runwright.api.sse import Streams
from runwright.api.surface import TABLES
from runwright.auth.bootstrap import bootstrap
from runwright.auth.issuer_keys import fetcher
from runwright.auth.keyring import Keyring
from runwright.auth.oidc import Oidc
from runwright.auth.run_tokens import RunTokens
from runwright.auth.secret_files import read_credentials, write_credentials
from runwright.auth.signing_keys import SigningKeys
from runwright.auth.tenants import Tenants
from runwright.auth.tickets import Tickets
from runwright.client.worker import Worker, load_worker
from runwright.clock import Clock, SystemClock
from runwright.config import Settings
from runwright.domain.ports import ArtifactStore, Bus
from runwright.domain.redaction import Redactor
from runwright.domain.tenancy import Actor
from runwright.engine.attempt import Executor
from runwright.engine.endpoints import Endpoints
from runwright.engine.engine import Engine
from runwright.engine.signing_secrets import SigningSecrets
from runwright.errors import InvalidSettings
from runwright.executors.agent import AgentExecutor
from runwright.executors.agent_kit import LazyKit
from runwright.executors.courier import DispatchingCourier
from runwright.executors.delivery.executor import DeliveryExecutor
from runwright.executors.dispatch import Bounds, Dispatcher
from runwright.executors.http import HttpExecutor
from runwright.executors.omar.executor import OmarExecutor
from runwright.executors.orchestrated.executor import OrchestratedExecutor
from runwright.executors.process.executor import ProcessExecutor
from runwright.executors.python import PythonExecutor
from runwright.forges.registered import Forges
from runwright.governance.approvals import Approvals
from runwright.governance.deliveries import Deliveries
from runwright.governance.evidence import Evidence
from runwright.governance.keyboard import Keyboard
from runwright.governance.loop_deliveries import LoopDeliveries
from runwright.governance.loops import Loops
from runwright.governance.recordings import Digests
from runwright.governance.runs import RuntimeRuns
from runwright.observability import logging, tracing
from runwright.observability.health import Health
from runwright.observability.metrics import Metrics
from runwright.store.artifacts import FileArtifacts
from runwright.store.base import Store
from runwright.store.bucket_terms import bucket
from runwright.store.postgres.bus import PostgresBus
from runwright.store.postgres.connection import Patience
from runwright.store.postgres.store import PostgresStore
from runwright.store.sqlite.store import SqliteStore
from runwright.telemetry import report


@dataclass(frozen=True, slots=True)
class House:
    """The server without its door: everything that works, not yet listening."""

    services: Services
    app: ASGIApp
    api_key: str | None
    key_made: bool
    processes: ProcessExecutor | None


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Open the store, start the loops, and close both again: running attempts finish or are handed back.

    Raises `StoreError` for a data directory that cannot be used, and `InvalidSettings` or `LookupError` for handlers
    that cannot be loaded; each says what to do.
    """
    clock = SystemClock()
    executor = _executor(settings)
    store, artifact_store = _stores(settings, clock)
    watchers = contextlib.ExitStack()
    await _opened(store, settings)
    try:
        traced = tracing.start(settings)
        if traced is not None:
            watchers.callback(traced.close)
        keyring = await _unlocked(store, settings)
        founded = await bootstrap(
            store, keyring, settings.api_key, keep=lambda token: write_credentials(settings.data_dir, None, token)
        )
        redactor = Redactor([*secrets_of(settings), *([founded.token] if founded.token else [])])
        watchers.callback(logging.configure(settings, redactor))
        dispatcher = _dispatcher(settings, clock)
        dispatching = _dispatching(dispatcher, store, keyring)
        processes = await _processes(settings, store, keyring, watchers)
        kit = LazyKit.of(settings, clock)
        delivering = DeliveryExecutor(kit, Forges(settings, clock))
        acting = await AgentExecutor.open(settings, kit, artifact_store)
        working = OrchestratedExecutor(kit), OmarExecutor(kit)
        engine = Engine(
            store,
            clock,
            settings,
            sealer=keyring,
            artifacts=artifact_store,
            redactor=redactor,
            executors=_executors(settings, dispatching, executor, processes, acting, working, delivering),
            bus=_bus(settings, clock),
            courier=DispatchingCourier(dispatcher, clock),
        )
        tenants = _tenants(engine, keyring, clock)
        if executor is not None:
            await _register(engine, tenants, founded.organization.org_id, executor)
        services = _services(settings, clock, engine, keyring, tenants, watchers)
        _attach(engine, services.agents, delivering, working, acting)
        engine.inbox.attend("deliver", services.loop_deliveries.begin)
        await engine.known.refresh()
        engine.start()
        try:
            app: ASGIApp = build(TABLES, services)
            served = app if traced is None else traced.around(app)
            key = founded.token or read_credentials(settings.data_dir)
            yield House(services, served, key, founded.made, processes)
        finally:
            await engine.drain()
            await _close(dispatching, executor, kit)
    finally:
        await store.close()
        report("process.stopped")
        watchers.close()


def _attach(
    engine: Engine,
    agents: Agents,
    delivering: DeliveryExecutor,
    working: tuple[OrchestratedExecutor, OmarExecutor],
    acting: AgentExecutor | None,
) -> None:
    delivering.attach(engine)
    for each in (*working, acting):
        if each is not None:
            each.attach(engine, agents)


async def _close(dispatching: HttpExecutor, handlers: PythonExecutor | None, kit: LazyKit) -> None:
    await dispatching.close()
    if handlers is not None:
        handlers.close()
    await kit.close()


def _stores(settings: Settings, clock: Clock) -> tuple[Store, ArtifactStore]:
    if settings.database_url is None:
        if settings.database_row_security:
            raise InvalidSettings.at("database_row_security", "means nothing without database_url")
        files = FileArtifacts(settings.data_dir / "artifacts", settings.artifact_max_bytes, clock)
        return SqliteStore(settings.data_dir, clock, migrate=settings.migrate), bucket(settings, clock) or files
    store = PostgresStore(
        settings.database_url,
        clock,
        patience=Patience(settings.database_connect_s, settings.database_statement_s),
        pool_max=settings.database_pool_max,
        migrate=settings.migrate,
        migrate_wait_s=settings.migrate_wait_s,
        row_security=settings.database_row_security,
    )
    return store, bucket(settings, clock) or store.artifacts(settings.artifact_max_bytes)


async def _opened(store: Store, settings: Settings) -> None:
    """Open the store; what it tells meanwhile, of migrations perhaps, is logged before there is a key to hide."""
    undo = logging.configure(settings, Redactor(secrets_of(settings)))
    try:
        await store.open()
    finally:
        undo()


def secrets_of(settings: Settings) -> list[str]:
    """Return what must stand in no log, not even in a message of a library's."""
    urls = [urlsplit(url) for url in (settings.database_url, settings.database_listen_url) if url]
    named = [word for url in urls for word in (url.password, *parse_qs(url.query).get("password", ()))]
    passwords = [spelled for password in named if password for spelled in (password, unquote(password))]
    own = (settings.api_key, settings.master_key, settings.s3_secret_access_key)
    return [secret for secret in (*own, *passwords) if secret]


async def _unlocked(store: Store, settings: Settings) -> Keyring:
    # A key made in one server's directory would be unknown to the others of a cluster.
    directory = settings.data_dir if settings.database_url is None else None
    return await Keyring.unlock(store, settings.master_key, directory)


def _services(
    settings: Settings,
    clock: SystemClock,
    engine: Engine,
    keyring: Keyring,
    tenants: Tenants,
    watchers: contextlib.ExitStack,
) -> Services:
    streams = Streams(settings)
    deliveries = Deliveries(engine, Forges(settings, clock))
    metrics = Metrics(engine, streams_open=lambda: streams.count, queues_max=settings.metrics_queues_max)
    watchers.callback(metrics.close)
    agents = Agents(engine, keyring)
    return Services(
        settings=settings,
        clock=clock,
        authenticator=tenants.authenticator,
        streams=streams,
        engine=engine,
        agents=agents,
        tenants=tenants,
        health=Health(engine, clock, lambda: streams.draining),
        metrics=metrics,
        rates=Rates("key", settings.rate_per_s, settings.rate_burst, settings.rates_max, clock),
        strangers=Rates(
            "address", settings.auth_failures_per_s, settings.auth_failures_burst, settings.rates_max, clock
        ),
        tickets=Tickets(engine.store, settings, clock),
        approvals=Approvals(engine),
        keyboard=Keyboard(engine),
        evidence=Evidence(engine, SigningKeys(engine.store, keyring)),
        runtime=RuntimeRuns(engine, agents),
        deliveries=deliveries,
        loops=Loops(engine, agents, deliveries),
        loop_deliveries=LoopDeliveries(engine, deliveries),
        digests=Digests(),
    )


def _bus(settings: Settings, clock: Clock) -> Bus | None:
    url = settings.database_listen_url or settings.database_url
    if url is None:
        return None
    return PostgresBus(
        url,
        clock,
        interval_s=settings.bus_interval_ms / 1000,
        payload_max_bytes=settings.bus_payload_max_bytes,
        payloads_max=settings.bus_payloads_max,
    )


def _tenants(engine: Engine, keyring: Keyring, clock: Clock) -> Tenants:
    settings = engine.settings
    tenants = Tenants.of(
        engine.store,
        keyring,
        clock,
        key_cache_s=settings.key_cache_s,
        idempotency_ttl_h=settings.idempotency_ttl_h,
        oidc=Oidc(settings, clock, fetcher(settings)) if settings.oidc_issuer is not None else None,
        tell=engine.changed,
    )
    engine.caches["projects"], engine.caches["logins"] = tenants.projects.forget, tenants.authenticator.forget
    return tenants


def _dispatcher(settings: Settings, clock: Clock) -> Dispatcher:
    bounds = Bounds(
        connections=settings.dispatch_connections,
        keepalive_s=settings.dispatch_keepalive_s,
        connect_s=settings.dispatch_connect_s,
        body_s=settings.dispatch_body_s,
        body_max_bytes=settings.dispatch_body_max_bytes,
    )
    return Dispatcher(clock, bounds, allow_private=settings.allow_private_endpoints)


def _dispatching(dispatcher: Dispatcher, store: Store, keyring: Keyring) -> HttpExecutor:
    mint = RunTokens(keyring.run_token_key).mint
    return HttpExecutor(Endpoints(store, SigningSecrets(store, keyring)), dispatcher, mint)


async def _processes(
    settings: Settings, store: Store, keyring: Keyring, watchers: contextlib.ExitStack
) -> ProcessExecutor | None:
    if settings.process_slots == 0:
        return None
    executor = await ProcessExecutor.open(settings, store, RunTokens(keyring.run_token_key).mint)
    watchers.callback(executor.close)
    return executor


def _executors(
    settings: Settings,
    dispatching: HttpExecutor,
    handlers: PythonExecutor | None,
    processes: ProcessExecutor | None,
    agents: AgentExecutor | None,
    working: tuple[OrchestratedExecutor, OmarExecutor],
    delivering: DeliveryExecutor,
) -> list[tuple[Executor, int]]:
    """Return what executes runs in this process, each with its slots."""
    found: list[tuple[Executor, int]] = [(dispatching, settings.dispatch_slots)]
    found += [(each, settings.runtime_slots) for each in working] if settings.runtime_slots else []
    found += [(delivering, settings.delivery_slots)] if settings.delivery_slots else []
    found += [] if handlers is None else [(handlers, settings.slots)]
    found += [] if agents is None else [(agents, settings.agent_slots)]
    return found + ([] if processes is None else [(processes, settings.process_slots)])


def _executor(settings: Settings) -> PythonExecutor | None:
    if not settings.worker:
        return None
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return PythonExecutor(
        [_load(path) for path in settings.worker], queues=settings.worker_queues, threads=settings.slots
    )


def _load(path: str) -> Worker:
    try:
        return load_worker(path)
    except LookupError:
        raise
    except Exception as broken:
        module = path.partition(":")[0]
        raise LookupError(
            f"{path!r} cannot be loaded: {type(broken).__name__}: {broken}; `python -c 'import {module}'` shows where"
        ) from broken


async def _register(engine: Engine, tenants: Tenants, org_id: str, executor: PythonExecutor) -> None:
    owner = Actor(kind="system", id="server", org_id=org_id, scopes=frozenset({"admin"}))
    project = await tenants.resolve_project(owner, None)
    for handler in executor.handlers.values():
        await engine.jobs.register(project, handler.options.given())
