"""Measure one peer: its environment, its service, its own process; or us, on the same stage."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Peer
from benchmarks.peers.environment import REPOSITORY, environment, versions
from benchmarks.peers.services import SERVICES
from benchmarks.report import OURS

PATIENCE_S = 90.0


@dataclass(frozen=True)
class Entry:
    """A peer: its module, the lock and packages it needs, where it stores, and how many jobs a round has."""

    title: str
    module: str
    packages: tuple[str, ...]
    store: str
    conditions: str
    single: int = 2_000
    batch: int = 0
    lock: str | None = "queues"
    sizes: dict[str, int] = field(default_factory=dict)


PEERS: dict[str, Entry] = {
    "runwright": Entry(
        OURS, "ours", (), "SQLite", "HTTP on one connection, bulk of 500; events, chain, result and attempt kept",
        batch=8_000, lock=None,
    ),
    "runwright-pg": Entry(
        OURS, "ours", (), "PostgreSQL", "HTTP on one connection, bulk of 500; events, chain, result and attempt kept",
        batch=8_000, lock=None,
    ),
    "huey": Entry(
        "huey", "huey_sqlite", ("huey",), "SQLite", "WAL, fsync; one thread; row removed on taking: a crash loses it",
        single=6_000,
    ),
    "dbos-sqlite": Entry(
        "DBOS", "dbos_queue", ("dbos",), "SQLite", "poll 20 ms, 100 at once; workflow status kept", single=500
    ),
    "dbos": Entry(
        "DBOS", "dbos_queue", ("dbos",), "PostgreSQL", "poll 20 ms, 100 at once; workflow status kept", single=1_000
    ),
    "procrastinate": Entry(
        "procrastinate", "procrastinate_queue", ("procrastinate",), "PostgreSQL", "10 at once; jobs and events kept",
        single=800,
        batch=1_000,
    ),
    "pgqueuer": Entry(
        "pgqueuer", "pgqueuer_queue", ("pgqueuer",), "PostgreSQL", "100 taken at a time; rows deleted when done",
        batch=20_000,
    ),
    "celery": Entry(
        "Celery", "celery_queue", ("celery",), "Valkey", "prefork 1, acknowledged late, 64 fetched ahead, results kept",
        single=1_000,
    ),
    "taskiq": Entry(
        "taskiq", "taskiq_queue", ("taskiq", "taskiq-redis"), "Valkey", "stream with acknowledgements, results kept",
        single=4_000,
    ),
    "dramatiq": Entry("dramatiq", "dramatiq_queue", ("dramatiq",), "Valkey", "8 threads, acknowledged"),
    "arq": Entry(
        "arq", "arq_queue", ("arq",), "Valkey", "poll 10 ms, 100 at once, results kept", single=4_000, lock="arq"
    ),
}  # fmt: skip
"""By name: what `--only` takes."""

ROUNDS = 2
SAMPLES = 100


def beside(name: str, *, quick: bool, rounds: int | None, tell: Callable[[str], None]) -> Peer:
    """Return what was found of a peer; one that cannot be had or does not run says why in its place."""
    entry = PEERS[name]
    found = Peer(name=entry.title, version="", store=entry.store, conditions=entry.conditions)
    try:
        with tempfile.TemporaryDirectory(prefix="runwright-peer-", ignore_cleanup_errors=True) as directory:
            sizes = {"single": entry.single, "batch": entry.batch, "samples": SAMPLES, "rounds": rounds or ROUNDS}
            if quick:
                sizes = {"single": 50, "batch": min(entry.batch, 50), "samples": 5, "rounds": 1}
            _measure(entry, found, Path(directory), sizes, tell)
    except (OSError, RuntimeError, subprocess.SubprocessError) as broken:
        found.missing = f"{type(broken).__name__}: {broken}"
    return found


def _measure(entry: Entry, found: Peer, directory: Path, sizes: dict[str, int], tell: Callable[[str], None]) -> None:
    with ExitStack() as open_until_done:
        python, url = Path(sys.executable), ""
        if entry.lock is not None:
            tell("building the environment")
            python = environment(entry.lock)
            found.version = versions(python, entry.packages)
        if entry.store in SERVICES:
            tell(f"starting {entry.store}")
            serve, version = SERVICES[entry.store]
            url = open_until_done.enter_context(serve(directory, sizes["rounds"]))
            found.store = f"{entry.store} {version()}"
        given = {**sizes, "directory": str(directory), "url": url}
        for key, values in _performed(python, entry.module, given, tell).items():
            setattr(found, key, values)


def _performed(python: Path, module: str, given: dict[str, Any], tell: Callable[[str], None]) -> dict[str, list[float]]:
    script = Path(__file__).with_name(f"{module}.py")
    errors = Path(given["directory"]) / "errors"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [python, script, "drive", json.dumps(given)], cwd=given["directory"], env=env, stdout=subprocess.PIPE,
            stderr=log, start_new_session=True,
        )  # fmt: skip
    begun = time.perf_counter()
    late = threading.Timer(PATIENCE_S, _end, [process])
    late.start()
    found: dict[str, list[float]] | None = None
    try:
        assert process.stdout is not None
        for line in process.stdout:
            words = json.loads(line)
            if "told" in words:
                tell(words["told"])
            found = words.get("found", found)
        process.wait()
    finally:
        late.cancel()
        _end(process)
    if found is None and time.perf_counter() - begun >= PATIENCE_S:
        raise RuntimeError(f"it took longer than {PATIENCE_S:g} s")
    if found is None:
        said = errors.read_text(errors="replace").strip().splitlines()
        raise RuntimeError(said[-1] if said else f"it ended with {process.returncode}")
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    # The worker that it started is of its group, and must not outlive it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
