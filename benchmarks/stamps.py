"""Instants that processes tell each other: a file that all of them map, one slot a number, no message between them.

The standard library alone: the peers' processes use it too. The clock is the machine's monotonic one, which all
processes of a machine share.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path

SLOT = 8


class Stamps:
    """The slots of a file; 0 says that nothing was noted."""

    def __init__(self, path: Path, count: int | None = None) -> None:
        """Map the file, or make it with `count` empty slots."""
        if count is not None:
            path.write_bytes(bytes(SLOT * count))
        self.path = path
        with path.open("r+b") as file:
            self._slots = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")

    def __len__(self) -> int:
        return len(self._slots)

    def note(self, number: int) -> None:
        """Write the present instant into a slot; a second note replaces the first."""
        self._slots[number] = time.monotonic_ns()

    def forget(self, number: int) -> None:
        """Empty a slot."""
        self._slots[number] = 0

    def add(self, number: int, count: int) -> None:
        """Count up in a slot, which only one process may do."""
        self._slots[number] += count

    def at(self, number: int) -> int:
        """Return what a slot holds, in ns."""
        return self._slots[number]

    def noted(self) -> list[int]:
        """Return the instants noted so far, in order of time."""
        return sorted(at for at in self._slots if at)

    def clear(self) -> None:
        """Empty every slot."""
        for number in range(len(self._slots)):
            self._slots[number] = 0
