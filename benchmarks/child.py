"""One measurement in a process of its own, so that none inherits another's memory: words and figures as JSON lines."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.catalogue import CATALOGUE
from benchmarks.database import SQLITE
from benchmarks.figures import Figure
from benchmarks.server import REPOSITORY
from runwright.api.server import run


class Line(msgspec.Struct, omit_defaults=True):
    """What a child says: how far it is, or at the end what it found."""

    told: str | None = None
    figures: list[Figure] | None = None


def say(line: Line) -> None:
    """Tell the parent, on standard output."""
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.flush()


def main(name: str, given: str) -> None:
    """Measure what the catalogue has under this name with these parameters."""
    parameters: dict[str, Any] = msgspec.json.decode(given)
    measure = CATALOGUE[name].measure

    async def measured() -> list[Figure]:
        return await measure(**parameters, tell=lambda words: say(Line(told=words)))

    found = run(measured())
    for figure in found:
        figure.database = parameters.get("on", SQLITE)
    say(Line(figures=found))


def measured(name: str, parameters: dict[str, Any], tell: Callable[[str], None]) -> list[Figure]:
    """Run a measurement in a child and return its figures; one that fails or takes too long says so in their place."""
    words = [sys.executable, "-m", "benchmarks.child", name, msgspec.json.encode(parameters).decode()]
    return _heard(name, words, CATALOGUE[name].patience_s, tell)


def _heard(name: str, words: list[str], patience_s: float, tell: Callable[[str], None]) -> list[Figure]:
    process = subprocess.Popen(
        words, cwd=REPOSITORY, env={**os.environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    late = threading.Timer(patience_s, _end, [process])
    late.start()
    found: list[Figure] | None = None
    try:
        assert process.stdout is not None
        for text in process.stdout:
            line = msgspec.json.decode(text, type=Line)
            if line.told is not None:
                tell(line.told)
            found = line.figures or found
        _, errors = process.communicate()
    finally:
        late.cancel()
        _end(process)
    if found is not None:
        return found
    last = errors.strip().splitlines()[-1] if errors.strip() else f"it took longer than {patience_s:g} s"
    return [Figure(name=name, unit="", missing=last)]


def _end(process: subprocess.Popen[str]) -> None:
    # The servers that it started are of its group: none must outlive it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
