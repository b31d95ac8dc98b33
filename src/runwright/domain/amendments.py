"""The data of events that tell what was changed of a run, and what was recorded of its attempts in debug mode."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain.run import State, ValueRef


class Rescheduled(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.rescheduled`: the run begins at another time; `payload` describes the new one where it was replaced."""

    state: State
    due_at: int | None = None
    expires_at: int | None = None
    reason: str | None = None
    payload: ValueRef | None = None
    request_id: str | None = None


class DebugSet(msgspec.Struct, frozen=True, omit_defaults=True):
    """`debug.set`: the attempts that begin from now on record what is handed over and comes back, or no more."""

    debug_mode: bool
    request_id: str | None = None


class Exchanged(msgspec.Struct, frozen=True, omit_defaults=True):
    """`debug.request`, `debug.response`: what was handed to the code of an attempt, and what came back from it.

    `head` holds headers or what stands for them, `body` the beginning of the body as text, of `bytes` in all.
    """

    attempt: int
    head: dict[str, Any]
    body: str = ""
    bytes: int = 0
    truncated: bool = False
