"""The database's time on this machine: all processes of a cluster agree, however wrong their clocks are."""

from __future__ import annotations

import math

from runwright.clock import Clock, SystemClock
from runwright.store.postgres.connection import Connection, translated

EVERY_S = 5.0
NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class DatabaseTime:
    """Shifts the process's one clock to the database's time; a clock that a test moves is right as it is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shifted = clock if isinstance(clock, SystemClock) else None
        self._measured_at_s = -math.inf

    @property
    def due(self) -> bool:
        """Tell whether the last measurement is old."""
        return self._shifted is not None and self._clock.monotonic() - self._measured_at_s >= EVERY_S

    async def measure(self, connection: Connection, times: int = 1) -> None:
        """Ask the database for its time and shift the clock by what it is off, read at the middle of the round trip.

        The truth lies within half a round trip of that: a clock that is off by less is left alone. Of several
        measurements the quickest counts.
        """
        if self._shifted is None:
            return
        self._measured_at_s = self._clock.monotonic()
        measured: list[tuple[int, int]] = []
        for _ in range(times):
            before = self._clock.now()
            with translated():
                theirs = await connection.fetchval(NOW)
            after = self._clock.now()
            measured.append(((after - before) // 2, theirs - (before + after) // 2))
        doubt, error = min(measured)
        if abs(error) > doubt:
            self._shifted.shift(error)
