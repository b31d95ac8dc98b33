"""What the acceptance tests share: a server on each database in each process of the test run, its clients, a gate.

Whatever asks for a server here, for its client or for a database runs once on each database. A module for which one is
enough says why, in a `database_kind` of its own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.clock import SystemClock
from tests.acceptance.contract import ContractClient
from tests.acceptance.gate import Gate, opened_gate
from tests.acceptance.live_server import MORTAL, LiveServer
from tests.acceptance.speech import Speech
from tests.acceptance.talks import SCRIPTS, Talks
from tests.auth.issuer import AUDIENCE, ISSUER, Issuer
from tests.engine.databases import DATABASES, KINDS, Database

Standing = Callable[[str], Awaitable[LiveServer]]


@pytest.fixture(scope="module", params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Name each database in turn."""
    return str(request.param)


@pytest.fixture
def database(database_kind: str, tmp_path: Path) -> Iterator[Database]:
    """Yield an empty database for the server of one test."""
    with DATABASES[database_kind](tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="module")
def module_database(database_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Yield an empty database for the server of one module."""
    with DATABASES[database_kind](tmp_path_factory.mktemp("database")) as made:
        yield made


@pytest.fixture(scope="session")
def logins() -> Issuer:
    """Return the issuer whose tokens the shared servers take."""
    return Issuer(SystemClock())


@pytest.fixture(scope="session")
async def standing(tmp_path_factory: pytest.TempPathFactory, logins: Issuer) -> AsyncIterator[Standing]:
    """Return what serves on a database, from the first who asks until the last test has ended.

    Its agents speak as the scripts of `talks` say; the model on this machine is not there.
    """
    given = tmp_path_factory.mktemp("given")
    (given / "jwks.json").write_bytes(logins.jwks())
    (given / "scripts.json").write_bytes(msgspec.json.encode(SCRIPTS))
    options = {
        "stream_keepalive_s": 0.2,
        "key_cache_s": 300,
        "oidc_issuer": ISSUER,
        "oidc_audience": AUDIENCE,
        "oidc_jwks": given / "jwks.json",
        "agent_slots": 100,
        "model_scripts": given / "scripts.json",
        "local_model_path": given / "nothing.gguf",
    }
    async with AsyncExitStack() as opened:
        yield shared(tmp_path_factory, opened, **options)


@pytest.fixture(scope="session")
async def obliging(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    """Return what serves on a database without handlers, and posts to endpoints and models on this machine."""
    async with AsyncExitStack() as opened:
        yield shared(tmp_path_factory, opened, worker=None, allow_private_endpoints="true", agent_slots=100)


def shared(directories: pytest.TempPathFactory, opened: AsyncExitStack, **options: Any) -> Standing:
    """Return what starts a server on a database when it is first asked for."""
    servers: dict[str, LiveServer] = {}

    async def serving(kind: str) -> LiveServer:
        if kind not in servers:
            directory = directories.mktemp("shared")
            database = opened.enter_context(KINDS[kind](directory / "data"))
            live = LiveServer(directory, database, **options)
            await live.start()
            opened.push_async_callback(live.close)
            servers[kind] = live
        return servers[kind]

    return serving


@pytest.fixture(scope="module")
async def lenient(obliging: Standing, database_kind: str) -> LiveServer:
    """Return the server on this database that posts to endpoints on this machine; no test stops it."""
    return await obliging(database_kind)


@pytest.fixture(scope="module")
async def server(standing: Standing, database_kind: str) -> LiveServer:
    """Return the server on this database for all tests that do not stop it."""
    return await standing(database_kind)


@pytest.fixture(scope="module")
async def admin(server: LiveServer) -> ContractClient:
    """Return the client of the administrator."""
    return server.client()


@pytest.fixture
async def api(admin: ContractClient) -> Speech:
    """Return the administrator's way to say things shortly."""
    return Speech(admin)


@pytest.fixture(scope="module")
async def talks(admin: ContractClient) -> Talks:
    """Return the threads of the administrator."""
    return Talks(admin)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """Build a gate for this test's handlers."""
    async with opened_gate() as built:
        yield built


@pytest.fixture
async def own_server(tmp_path: Path, database: Database) -> AsyncIterator[LiveServer]:
    """Start a server that this test may stop and kill."""
    live = LiveServer(tmp_path, database, **MORTAL)
    await live.start()
    yield live
    await live.close()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Return the file that handlers of this test note things in."""
    return tmp_path / "notes"
