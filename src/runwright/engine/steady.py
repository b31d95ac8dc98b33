"""Notice when the wall clock jumps: nothing is taken from anybody on the word of a clock that just moved."""

from __future__ import annotations

from runwright.clock import Clock
from runwright.telemetry import report


class Steady:
    """Compares the wall clock with the monotonic one; after a jump or an outage it asks for a lease of patience."""

    def __init__(self, clock: Clock, lease_s: float) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._offset_s = self._measure()
        self._patient_until = float("-inf")

    def _measure(self) -> float:
        return self._clock.now() / 1e6 - self._clock.monotonic()

    def disturb(self) -> None:
        """Be patient for one lease from now: the store was out of reach, nobody could renew."""
        self._patient_until = self._clock.monotonic() + self._lease_s

    @property
    def now(self) -> bool:
        """Tell whether leases and expiries may be judged by the clock at this moment."""
        offset_s = self._measure()
        jump_s = offset_s - self._offset_s
        self._offset_s = offset_s
        if abs(jump_s) > self._lease_s / 2:
            report("clock.jumped", seconds=jump_s)
            self.disturb()
        return self._clock.monotonic() >= self._patient_until
