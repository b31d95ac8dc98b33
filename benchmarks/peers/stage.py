"""The stage on which every peer does the same: enqueue one by one, enqueue in batches, drain, start on an idle worker.

The standard library alone: this runs in the peers' environment. A peer's module makes a `Peer` and calls `perform`;
the same module, called with `work`, is its one worker process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.stamps import Stamps

_rest = threading.Event()


class Peer:
    """What a peer can do. `batch` is None where its library has no batches."""

    batch: Callable[[Sequence[int]], None] | None = None

    def prepare(self) -> None:
        """Make tables and whatever else must be there first."""

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue a job for each number, one call after another; the job notes its number."""
        raise NotImplementedError

    def filled(self) -> None:
        """Hear that the queue is filled and that the worker starts now."""

    def work(self) -> None:
        """Be the worker, until the process is ended."""
        raise NotImplementedError


class Place:
    """Where a round happens: a directory of its own, the service's address, the file of stamps."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.directory = Path(given["directory"])
        self.url: str = given["url"]
        self.round = int(given.get("round", 0))

    @property
    def name(self) -> str:
        """Return a name for a queue or database that no other round has."""
        return f"bench{self.round}"

    @property
    def stamps(self) -> Stamps:
        """Return the stamps, mapped."""
        return Stamps(self.directory / f"stamps{self.round}")

    def noted(self) -> Callable[[int], None]:
        """Return what a job calls with its number."""
        return self.stamps.note


def perform(make: Callable[[Place], Peer]) -> None:
    """Play the role that the command line names: `drive` all rounds and print what was found, or `work` in one."""
    role, given = sys.argv[1], json.loads(sys.argv[2])
    if role == "work":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        make(Place(given)).work()
        return
    found: dict[str, list[float]] = {}
    for number in range(given["rounds"]):
        tell(told=f"round {number + 1} of {given['rounds']}")
        for name, value in _round(make, {**given, "round": number}).items():
            found.setdefault(name, []).append(value)
    tell(found=found)


def tell(**words: Any) -> None:
    """Print one line for the process that watches."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _round(make: Callable[[Place], Peer], given: dict[str, Any]) -> dict[str, float]:
    place = Place(given)
    single, batch, samples = given["single"], given["batch"], given["samples"]
    Stamps(place.directory / f"stamps{place.round}", single + batch + samples)
    peer = make(place)
    peer.prepare()
    found: dict[str, float] = {"single": _rate(peer.enqueue, range(single))}
    filled = single
    more = range(single, single + batch)
    if peer.batch is not None:
        found["batch"] = _rate(peer.batch, more)
        filled += batch
    peer.filled()
    stamps = place.stamps
    worker = subprocess.Popen([sys.executable, sys.argv[0], "work", json.dumps(given)], stdout=sys.stderr)
    try:
        _wait(stamps, filled, worker)
        noted = stamps.noted()
        found["executed"] = (filled - 1) / ((noted[-1] - noted[0]) / 1e9)
        _rest.wait(0.5)
        waits = [_start_ms(peer, stamps, number) for number in range(single + batch, single + batch + samples)]
    finally:
        worker.terminate()
        try:
            worker.wait(5)
        except subprocess.TimeoutExpired:
            worker.kill()
    waits.sort()
    found["start_p50_ms"] = waits[len(waits) // 2]
    found["start_p99_ms"] = waits[int(len(waits) * 0.99)]
    return found


def _rate(enqueue: Callable[[Sequence[int]], None], numbers: Sequence[int]) -> float:
    begun = time.perf_counter()
    enqueue(numbers)
    return len(numbers) / (time.perf_counter() - begun)


def _wait(stamps: Stamps, count: int, worker: subprocess.Popen[bytes]) -> None:
    left = 0
    while left < count:
        if stamps.at(left):
            left += 1
        elif worker.poll() is not None:
            raise RuntimeError(f"the worker ended with {worker.returncode} after {left} of {count} jobs in order")
        else:
            _rest.wait(0.005)


def _start_ms(peer: Peer, stamps: Stamps, number: int) -> float:
    _rest.wait(0.02)  # 50 a second at most: the worker is idle in between
    begun = time.monotonic_ns()
    peer.enqueue([number])
    while not stamps.at(number):
        _rest.wait(0.0002)
    return (stamps.at(number) - begun) / 1e6
