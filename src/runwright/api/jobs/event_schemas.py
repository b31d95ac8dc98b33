"""The shapes of events that are sent to runs and jobs."""

from __future__ import annotations

from typing import Any

import msgspec


class SendEventRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send: the payload that the waiting runs get, and the jobs that it starts."""

    payload: dict[str, Any] = {}


class RefusedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the event would have started, and why it did not."""

    job: str
    code: str
    error: str


class SentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What an event did: the runs that it woke, the runs that it started, and whether it is kept for a later waiter.

    `more` tells that other runs wait for it still: one event wakes at most `signal_wakes_max`.
    """

    event_id: str
    event_key: str
    woken: list[str]
    triggered: list[str]
    kept: bool
    more: bool
    refused: list[RefusedJob]
    idempotency_hit: bool
