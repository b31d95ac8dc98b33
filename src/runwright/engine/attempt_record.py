"""What is kept of an attempt that has ended."""

from __future__ import annotations

import msgspec

from runwright.domain.run import Run
from runwright.store.base import Attempt

_encode = msgspec.json.Encoder().encode


def record_of(run: Run, ended: Run) -> Attempt:
    """Return the record of the attempt that `run` was in, which led to the run as `ended`."""
    outcome = {"scheduled": "failed", "queued": "released", "waiting": "parked"}.get(ended.state, ended.state)
    failed = outcome == "failed"
    return Attempt(
        run.run_id,
        run.lease_epoch,
        run.attempt,
        run.spec.executor,
        run.worker_id or "",
        run.since_at,
        ended.since_at,
        _told(outcome, run, ended),
        ended.error_class if failed else None,
        ended.error if failed else None,
        run.queue_wait_us,
        None if ended.trace is None else _encode(ended.trace),
    )


def _told(outcome: str, run: Run, ended: Run) -> str:
    if ended.tally.restarts > run.tally.restarts:
        return "restarted"
    if ended.tally.recoveries > run.tally.recoveries:
        return "crashed"
    return "crashed" if outcome == "failed" and ended.error_class == "WorkerLost" else outcome
