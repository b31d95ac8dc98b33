"""Which triggers of a job gather in one run, and what an item of a batch is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from runwright.domain.job import Job
from runwright.domain.run import Gather
from runwright.domain.tenancy import Cause
from runwright.engine.orders import Order
from runwright.errors import FieldError, InvalidRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def gather_of(job: Job, order: Order) -> Gather | None:
    """Return what the run of an order gathers; None for a run of its own: fires, children and replays are ones.

    Raises `InvalidRequest` for a key that the job has no use for, and for a time that its window decides.
    """
    debounce, batch = job.definition.debounce, job.definition.batch
    wrong = [
        FieldError(name, f"is only for a job with {option}")
        for name, option, given in (
            ("debounce_key", "debounce", order.debounce_key is not None and debounce is None),
            ("batch_key", "batch", order.batch_key is not None and batch is None),
        )
        if given
    ]
    if wrong:
        raise InvalidRequest(fields=wrong)
    if (debounce is None and batch is None) or order.triggered_by != "manual" or order.replay_of is not None:
        return None
    if order.scheduled_at is not None:
        raise InvalidRequest.at("scheduled_at", "is decided by the window of the job's debounce or batch")
    if debounce is not None:
        return Gather(
            "debounce", order.debounce_key or "", _us(debounce.window_secs), max_wait_us=_us(debounce.max_wait_secs)
        )
    assert batch is not None
    return Gather("batch", order.batch_key or "", _us(batch.window_secs), max_size=batch.max_size)


def item_of(order: Order, now: int, cause: Cause, trace_id: str, *, alone: bool) -> dict[str, Any]:
    """Return a trigger as an item of a batch: what it brought, and where it came from; `alone`, as all of the batch."""
    item = {
        "payload": order.payload,
        "tags": order.tags,
        "metadata": order.metadata,
        "idempotency_key": order.idempotency_key,
        "triggered_at": (_EPOCH + timedelta(microseconds=now)).isoformat().replace("+00:00", "Z"),
        "triggered_by": cause.actor,
        "request_id": cause.request_id,
        "trace_id": trace_id,
    }
    return {"items": [item]} if alone else item


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
