"""The real REST worker as a process of its own: started, frozen, drained and killed."""

import asyncio
import contextlib
import signal
from pathlib import Path

from tests.acceptance import nursery
from tests.acceptance.live_server import API_KEY, HANDLERS, PATIENCE_S, environment


class LiveWorker:
    """`runwright worker` against a server's address."""

    def __init__(
        self, url: str, directory: Path, *options: str, handlers: str | None = HANDLERS, key: str = API_KEY
    ) -> None:
        self.url = url
        self.log = directory / "worker.log"
        self.worker_id = ""
        self._options = (*([] if handlers is None else [handlers]), "--url", url, *options)
        self._key = key
        self._process: nursery.Forked | None = None

    @property
    def process(self) -> nursery.Forked:
        """Return the process; it is a mistake of the test to ask while there is none."""
        assert self._process is not None
        return self._process

    async def start(self) -> "LiveWorker":
        """Start the worker and wait until it says that it is ready."""
        with self.log.open("ab") as log:
            words = ["worker", *self._options]
            self._process = await nursery.start(words, environment(api_key=self._key), log.fileno())
        async with asyncio.timeout(PATIENCE_S):
            line = (await self._process.stdout.readline()).decode()
        if not line.startswith("ready wrk_"):
            await self.kill()
            raise AssertionError(f"{line!r}: {self.log.read_text()}")
        self.worker_id = line.split()[1]
        return self

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Return the exit code, once the process has ended."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    async def kill(self) -> None:
        """Kill the process, if it is there."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
