"""An attempt in a worker elsewhere: how long it may go on, and how its end is told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from runwright.client.outcome import Completed, Failed, Outcome, Parked, Stopped
from runwright.client.remote_session import RemoteSession


class RemoteAttempt:
    """An attempt in this process. After `good_until` (monotonic seconds) its lease may be another's: it is given up."""

    def __init__(self, session: RemoteSession) -> None:
        self.session = session
        self.good_until = 0.0
        self.released = False
        self.task: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

    def keep(self, until: float) -> None:
        """Work on until then."""
        self.good_until = until
        if self._watch is None:
            self._look()

    def close(self) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.cancel()

    def _look(self) -> None:
        if time.monotonic() < self.good_until:  # the loop's clock is that one
            self._watch = asyncio.get_running_loop().call_at(self.good_until, self._look)
        else:
            self.session.log.give_up("no heartbeat was confirmed within the lease")


def wire(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as the worker protocol says it."""
    match outcome:
        case Completed():
            return {"status": "completed", "result": outcome.result}
        case Parked():
            waits = {"on": outcome.on, "key": outcome.key, "name": outcome.name}
            return {"status": "parked", "wake_at": outcome.wake_at} | (waits if outcome.on != "timer" else {})
        case Stopped():
            return {"status": "stopped"}
        case Failed():
            failed: dict[str, Any] = {"status": "failed", "error_class": outcome.error_class[:255]}
            failed |= {"message": outcome.message, "retryable": outcome.retryable, "traceback": outcome.traceback}
            optional = {"code": outcome.code, "retry_after_secs": outcome.retry_after_s}
            return failed | {name: value for name, value in optional.items() if value is not None}
