"""What the API answers about deliveries."""

from typing import Any

import msgspec

from runwright.client.models import Record


class DeliveryStep(msgspec.Struct, kw_only=True):
    """How far an action has come."""

    action: str = ""
    status: str = ""
    detail: str | None = None


class DeliveryError(msgspec.Struct, kw_only=True):
    """Why a run was not delivered; `retryable`: the same call may go well another time."""

    code: str = ""
    message: str = ""
    retryable: bool = False
    retry_after_s: int | None = None


class Delivered(Record, kw_only=True):
    """What became of a run; `delivery_run_id` is the run that delivers it, with its log, approvals and evidence."""

    run_id: str = ""
    status: str = ""
    steps: list[DeliveryStep] = msgspec.field(default_factory=list)
    delivery_run_id: str | None = None
    commit_sha: str | None = None
    branch: str | None = None
    pr: dict[str, Any] | None = None
    checkpoint_id: str | None = None
    evidence_event_id: str | None = None
    error: DeliveryError | None = None


class DeliveredRuns(Record, kw_only=True):
    """What became of each run, in the order in which they were named."""

    batch_id: str = ""
    on_error: str = ""
    dry_run: bool = False
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    results: list[Delivered] = msgspec.field(default_factory=list)
