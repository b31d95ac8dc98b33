"""What the metrics tell of scans: read from their events, once durable, whichever machine they ran on."""

from __future__ import annotations

import contextlib

import msgspec

from runwright.domain.repository_events import Scanned
from runwright.domain.scan_rules import BUILT_IN
from runwright.observability import catalogue as m
from runwright.observability.tallies import Counter, Histogram
from runwright.scanners.available import KINDS

SCANNED = "scan.completed"
_NAMED = frozenset({*BUILT_IN, *KINDS, "policy"})


class ScanTallies:
    """Counts the reports of scanners, and how long they took; `shown` are its metrics."""

    def __init__(self) -> None:
        self._scans = Counter(m.SCANS)
        self._seconds = Histogram(m.SCAN_SECONDS)
        self.shown = (self._scans, self._seconds)

    def count(self, data: bytes | None) -> None:
        """Count one report; a worker that writes another shape than the catalogue's is not counted."""
        with contextlib.suppress(msgspec.MsgspecError):
            told = msgspec.json.decode(data or b"", type=Scanned)
            name = told.scanner if told.scanner in _NAMED else "other"
            self._scans.add((name, told.status))
            if told.status != "not_run":
                self._seconds.observe(told.duration_ms / 1000, (name,))
