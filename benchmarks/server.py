"""A real server as a process of its own: started, measured from outside, stopped or killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

from benchmarks.stamps import Stamps

REPOSITORY = Path(__file__).parents[1]
API_KEY = "rw_bench_Zy8qkXw3Lr5vTn2mQd7s"
HANDLERS = "benchmarks.handlers:worker"
PATIENCE_S = 60
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024


class Server:
    """`runwright serve` over one data directory, which outlives it."""

    def __init__(self, directory: Path, *, slots: int = 1000, stamps: Stamps | None = None, **settings: Any) -> None:
        self.data_dir = directory / "data"
        self.log = directory / "server.log"
        self.host = "127.0.0.1"
        self.port = 0
        chosen = {"data_dir": self.data_dir, "api_key": API_KEY, "slots": slots, "log_level": "error", **settings}
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("RUNWRIGHT_")}
        self._env |= {f"RUNWRIGHT_{name.upper()}": str(value) for name, value in chosen.items()}
        if stamps is not None:
            self._env["BENCH_STAMPS"] = str(stamps.path)
        self._process: subprocess.Popen[str] | None = None

    def start(self, *, worker: bool = True) -> Self:
        """Start the process and return once it accepts requests."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words(worker), cwd=REPOSITORY, env=self._env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready http://"):
            self.kill()
            raise RuntimeError(f"the server did not start: {self.log.read_text()[-2000:]}")
        self.port = urlsplit(line.split()[1]).port or 0
        return self

    def _words(self, worker: bool) -> list[str]:
        words = [sys.executable, "-m", "runwright", "serve", "--port", str(self.port)]
        return [*words, "--worker", HANDLERS] if worker else words

    def become(self) -> NoReturn:
        """Turn this very process into the server."""
        os.chdir(REPOSITORY)
        os.execve(sys.executable, self._words(worker=True), self._env)

    @property
    def process(self) -> subprocess.Popen[str]:
        """Return the process that runs."""
        assert self._process is not None
        return self._process

    @property
    def cpu_s(self) -> float:
        """Return the processor time that the process has used."""
        return cpu_s(self.process)

    @property
    def rss_kib(self) -> float:
        """Return the memory of the process that is in RAM."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE_KIB

    def stop(self) -> None:
        """Drain the server by SIGTERM."""
        self.process.terminate()
        self._ended()

    def kill(self) -> None:
        """Kill the server: nothing of it runs any more."""
        self.process.kill()
        self._ended()

    def _ended(self) -> None:
        try:
            self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        self._process = None

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self.kill()


def cpu_s(process: subprocess.Popen[str]) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a directory and remove it afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="runwright-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def serving(
    *, slots: int = 1000, stamps: int = 0, worker: bool = True, **settings: Any
) -> Iterator[tuple[Server, Stamps]]:
    """Serve on a new data directory, with so many stamps, and end the server afterwards."""
    with scratch() as directory:
        noted = Stamps(directory / "stamps", stamps + 1)
        server = Server(directory, slots=slots, stamps=noted, **settings)
        try:
            yield server.start(worker=worker), noted
        finally:
            server.close()
