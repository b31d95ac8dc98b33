"""The real server as a process of its own, over a database that outlives it: started, stopped and killed."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any, NamedTuple

from runwright.client.api import AsyncClient
from runwright.client.backoff import Backoff
from tests.acceptance import nursery
from tests.acceptance.contract import ContractClient, contract
from tests.engine.databases import Database, SqliteDatabase
from tests.ports import kept_for

REPOSITORY = Path(__file__).parents[2]
HANDLERS = "tests.acceptance.handlers:app"
API_KEY = "rw_acceptance_Zy8qkXw3Lr5vTn2m"
PATIENCE_S = 60.0

FAST: dict[str, Any] = {
    "heartbeat_s": 0.5,
    "reaper_s": 0.2,
    "stop_grace_s": 0.5,
    "drain_s": 1,
    "log_format": "json",
    "rate_per_s": 100_000,
    "auth_failures_per_s": 0,
    "agent_slots": 0,  # a generated request is no reason to load a model: tests of agents ask for slots
}
MORTAL: dict[str, Any] = {"lease_s": 5}
"""Settings of a server that is killed: where other servers may work too, its runs are lost when its leases lapse."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


def environment(**settings: Any) -> dict[str, str]:
    """Return this environment with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNWRIGHT_")}
    return {**kept, **{f"RUNWRIGHT_{name.upper()}": str(value) for name, value in settings.items()}}


async def command(*tokens: str, env: dict[str, str] | None = None, stdin: str | None = None) -> Ended:
    """Run `runwright` with these words to its end, in a process that is forked."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.write((stdin or "").encode())
        given.seek(0)
        used = env if env is not None else environment()
        process = await nursery.start([*tokens], used, errors.fileno(), given.fileno())
        out = await _told(process)
        errors.seek(0)
        return Ended(process.returncode or 0, out.decode(), errors.read().decode())


async def program(*tokens: str, env: dict[str, str]) -> Ended:
    """Run `runwright` with these words to its end, as anybody starts it."""
    words = ("-m", "runwright", *tokens)
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=REPOSITORY, env=env, stdin=DEVNULL, stdout=PIPE, stderr=errors
        )
        out = await _told(process)
        errors.seek(0)
        return Ended(process.returncode or 0, out.decode(), errors.read().decode())


async def _told(process: nursery.Forked | Process) -> bytes:
    """Return the standard output of a process that comes to its end in time."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return out


class LiveServer:
    """A server over one database, a file of its own if none is given.

    Its port is its own, as long as this lives, whether it runs or not.
    """

    def __init__(
        self, directory: Path, database: Database | None = None, *, worker: str | None = HANDLERS, **settings: Any
    ) -> None:
        self.database = database or SqliteDatabase(directory / "data")
        self.data_dir = Path(self.database.settings.get("data_dir", directory / "data"))
        self.log = directory / "server.log"
        self.url = ""
        self.port = kept_for(self)
        self._settings = {"data_dir": self.data_dir, "api_key": API_KEY, **FAST, **self.database.settings, **settings}
        self._worker = ["--worker", worker] if worker is not None else []
        self._process: nursery.Forked | None = None
        self._clients: list[ContractClient] = []

    @property
    def process(self) -> nursery.Forked:
        """Return the process; it is a mistake of the test to ask while there is none."""
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        """Start the server and wait until it says that it is ready."""
        with self.log.open("ab") as log:
            words = ["serve", "--port", str(self.port), *self._worker]
            self._process = await nursery.start(words, environment(**self._settings), log.fileno())
        line = await self._first_line(self._process)
        if not line.startswith("ready http://"):
            await self.kill()
            raise AssertionError(f"{line!r}: {self.log.read_text()}")
        self.url = line.split()[1]

    async def _first_line(self, process: nursery.Forked) -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (await process.stdout.readline()).decode()
        except TimeoutError:
            return "nothing"

    async def stop(self, *, expected: int = 0) -> str:
        """Drain the server by SIGTERM; return what it still wrote on standard output."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended(expected)

    async def ended(self, expected: int = 0) -> str:
        """Wait for the end of a server that was told to stop, and return what it still wrote on standard output."""
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await self.process.communicate()
        assert self.process.returncode == expected, f"{self.process.returncode}: {self.log.read_text()}"
        self._process = None
        return out.decode()

    async def kill(self) -> None:
        """Kill the server as a power failure would: nothing of it runs any more."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        async with asyncio.timeout(PATIENCE_S):
            await self.process.communicate()
        self._process = None

    async def close(self) -> None:
        """Stop the server if it runs, and look whether something broke in it."""
        for client in self._clients:
            await client.aclose()
        if self._process is not None:
            await self.stop()
        told = self.log.read_text()
        assert "Traceback" not in told, told
        assert "loop.broken" not in told, told
        assert "inbox.broken" not in told, told

    def client(self, token: str | None = API_KEY, **options: Any) -> ContractClient:
        """Return a client whose every answer is checked against the OpenAPI document of the server."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        client = ContractClient(contract(), base_url=self.url, headers=headers, timeout=30.0, **options)
        self._clients.append(client)
        return client

    def sdk(self, attempts: int = 200) -> AsyncClient:
        """Return a client of the SDK, patient enough for a restart of the server."""
        return AsyncClient(self.url, API_KEY, backoff=Backoff(attempts=attempts, initial_s=0.05, max_s=0.5))
