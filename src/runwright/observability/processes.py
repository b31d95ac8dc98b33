"""What the metrics tell of processes: read from their events, once durable, whichever machine they ran on."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from runwright.domain import process_events as p
from runwright.domain.events import CATALOGUE
from runwright.domain.presets import PRESETS
from runwright.observability import catalogue as m
from runwright.observability.tallies import Counter, Histogram

OF_PROCESSES = frozenset({"process.started", "process.limited", "process.ended", "security.refused"})


class ProcessTallies:
    """Counts processes begun, ended for a limit, and refused something; `shown` are its metrics."""

    def __init__(self) -> None:
        self._started = Counter(m.PROCESSES_STARTED)
        self._limited = Counter(m.PROCESSES_LIMITED)
        self._refused = Counter(m.PROCESSES_REFUSED)
        self._memory = Histogram(m.PROCESS_MEMORY)
        self.shown = (self._started, self._limited, self._refused, self._memory)

    def count(self, kind: str, data: bytes | None) -> None:
        """Count one event of a process. A worker that writes another shape than the catalogue's is not counted."""
        with contextlib.suppress(msgspec.MsgspecError):
            self._count(msgspec.json.decode(data or b"", type=CATALOGUE[kind].data))

    def _count(self, told: Any) -> None:
        match told:
            case p.ProcessStarted():
                self._started.add((told.preset if told.preset in PRESETS else "other",))
            case p.ProcessLimited():
                self._limited.add((told.limit,))
            case p.SecurityRefused():
                self._refused.add((told.what,), max(told.count, 0))
            case p.ProcessEnded():
                self._memory.observe(told.peak_memory_bytes)
