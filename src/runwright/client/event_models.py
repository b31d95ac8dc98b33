"""What the API answers about events that runs wait for and that start jobs."""

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.models import Record, Run


class RefusedJob(msgspec.Struct, kw_only=True):
    """A job that an event would have started, and why it did not."""

    job: str = ""
    code: str | None = None
    error: str | None = None


class SentEvent(Record, kw_only=True):
    """What an event did: the runs that it woke and started; `kept`, if nobody waited for it."""

    event_id: str = ""
    event_key: str = ""
    woken: list[str] = msgspec.field(default_factory=list)
    triggered: list[str] = msgspec.field(default_factory=list)
    kept: bool = False
    more: bool = False
    refused: list[RefusedJob] = msgspec.field(default_factory=list)
    idempotency_hit: bool = False


class ChildEnd(msgspec.Struct, kw_only=True):
    """What became of a child; `status` is `completed` where all is well."""

    run_id: str = ""
    status: str = ""
    result: dict[str, Any] | None = None
    error: str | None = None
    error_class: str | None = None


class SpawnedRun(Run, kw_only=True):
    """A child, or a continuation; `awaited` tells its end to who waited for it."""

    parent_status: str = ""
    awaited: ChildEnd | None = None
    stop: str | None = None


class Waiting(Record, kw_only=True):
    """What came of a wait for an event: `received` with its `payload`, or the run's status: the attempt is over."""

    run_id: str = ""
    status: str = ""
    event_key: str = ""
    payload: dict[str, Any] | None = None
    expires_at: datetime | None = None
    trigger_id: str | None = None
    stop: str | None = None
