"""Records to rows and back, in one column order for every database."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain.course import Course
from runwright.domain.run import Amended, Paused, Run, Spec, Tally, Trace, Usage, Wait
from runwright.store.base import Birth, Lease, Record, Row

STANDING = (
    "state",
    "reason",
    "attempt",
    "lease_epoch",
    "seq",
    "hash",
    "at",
    "since_at",
    "due_at",
    "expires_at",
    "started_at",
    "finished_at",
    "cancel_requested_at",
    "pause_requested_at",
    "paused",
    "error",
    "error_class",
    "tally",
    "queue_wait_us",
    "queued_us",
    "active_us",
    "waiting_us",
    "dead_lettered_at",
    "worker_id",
    "annotations",
    "trace",
    "usage",
    "wait",
    "restart_requested_at",
    "preset",
    "amended",
    "course",
)
"""The columns of `runs` that change, in the order of `standing`."""

IDENTITY = (
    "run_id",
    "org_id",
    "project_id",
    "kind",
    "job_id",
    "batch_id",
    "parent_run_id",
    "dependency_key",
    "lineage_root",
    "opening",
    "payload",
)
"""The columns of `runs` that are written once."""

HEAD = ("state", "lease_epoch", "seq", "hash", "at", "rank", "held_by")
"""The columns of `run_heads`; for a live run they are newer than those of `runs`."""

_encode = msgspec.json.Encoder().encode
_spec = msgspec.json.Decoder(Spec).decode
_tally = msgspec.json.Decoder(Tally).decode
_paused = msgspec.json.Decoder(Paused).decode
_wait = msgspec.json.Decoder(Wait).decode
_trace = msgspec.json.Decoder(Trace).decode
_usage = msgspec.json.Decoder(Usage).decode
_annotations = msgspec.json.Decoder(dict[str, str]).decode
_amended = msgspec.json.Decoder(Amended).decode
_course = msgspec.json.Decoder(Course).decode
_NO_TALLY = Tally()
_NO_USAGE = Usage()
_AS_MADE = Amended()


def standing(run: Run) -> Row:
    """Return the run's values for `STANDING`."""
    return (
        run.state,
        run.reason,
        run.attempt,
        run.lease_epoch,
        run.seq,
        run.hash,
        run.at,
        run.since_at,
        run.due_at,
        run.expires_at,
        run.started_at,
        run.finished_at,
        run.cancel_requested_at,
        run.pause_requested_at,
        None if run.paused is None else _encode(run.paused),
        run.error,
        run.error_class,
        None if run.tally == _NO_TALLY else _encode(run.tally),
        run.queue_wait_us,
        run.queued_us,
        run.active_us,
        run.waiting_us,
        run.dead_lettered_at,
        run.worker_id,
        _encode(run.annotations) if run.annotations else None,
        None if run.trace is None else _encode(run.trace),
        None if run.usage == _NO_USAGE else _encode(run.usage),
        None if run.wait is None else _encode(run.wait),
        run.restart_requested_at,
        run.preset,
        None if run.amended == _AS_MADE else _encode(run.amended),
        None if run.course is None else _encode(run.course),
    )


def identity(birth: Birth) -> Row:
    """Return a new run's values for `IDENTITY`."""
    spec = birth.run.spec
    return (
        spec.run_id,
        spec.org_id,
        spec.project_id,
        spec.kind,
        spec.job_id,
        spec.batch_id,
        spec.parent_run_id,
        spec.dependency_key,
        spec.lineage_root,
        birth.opening,
        birth.payload,
    )


def head(run: Run) -> Row:
    """Return the run's values for `HEAD`."""
    return (run.state, run.lease_epoch, run.seq, run.hash, run.at, run.rank, run.held_by)


def spec_from(opening: bytes) -> Spec:
    """Return the spec that a run was made with."""
    return _spec(opening)


def run_from(opening: bytes, row: Row, live: Row | None) -> Run:
    """Return the run of an `opening`, its `STANDING` values and, while it lives, its `HEAD` values."""
    state, epoch, seq, digest, at, rank, held_by = live or (row[0], row[3], row[4], row[5], row[6], None, None)
    return Run(
        spec=_spec(opening),
        state=state,
        reason=row[1],
        attempt=row[2],
        lease_epoch=epoch,
        seq=seq,
        hash=digest,
        at=at,
        since_at=row[7],
        rank=rank,
        held_by=held_by,
        due_at=row[8],
        expires_at=row[9],
        started_at=row[10],
        finished_at=row[11],
        cancel_requested_at=row[12],
        pause_requested_at=row[13],
        paused=None if row[14] is None else _paused(row[14]),
        error=row[15],
        error_class=row[16],
        tally=_NO_TALLY if row[17] is None else _tally(row[17]),
        queue_wait_us=row[18],
        queued_us=row[19],
        active_us=row[20],
        waiting_us=row[21],
        dead_lettered_at=row[22],
        worker_id=row[23],
        annotations={} if row[24] is None else _annotations(row[24]),
        trace=None if row[25] is None else _trace(row[25]),
        usage=_NO_USAGE if row[26] is None else _usage(row[26]),
        wait=None if row[27] is None else _wait(row[27]),
        restart_requested_at=row[28],
        preset=row[29],
        amended=_AS_MADE if row[30] is None else _amended(row[30]),
        course=None if row[31] is None else _course(row[31]),
    )


_AFTER_STANDING = len(STANDING) + 1
_AFTER_HEAD = _AFTER_STANDING + len(HEAD)


def record_from(row: Row) -> Record:
    """Return a reader's record from a row of `RECORDS`: opening, STANDING…, HEAD…, what was added later, lease…."""
    live = row[_AFTER_STANDING:_AFTER_HEAD]
    payload, result, left_at, replayed_as, erased_at, pruned_at, *lease = row[_AFTER_HEAD:]
    run = run_from(row[0], row[1:_AFTER_STANDING], live if live[0] is not None else None)
    held = Lease(run.run_id, *_typed(lease)) if lease[0] is not None else None
    return Record(run, payload, result, left_at, replayed_as, held, erased_at, pruned_at)


def _typed(lease: list[Any]) -> tuple[int, str, int, int | None]:
    epoch, worker_id, until, fence_at = lease
    return epoch, worker_id, until, fence_at
