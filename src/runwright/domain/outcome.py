"""How an attempt ended, told as a value: the executing side returns one of these and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain.approval import Ask
from runwright.domain.question import Question
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Trace, ValueRef, Wait
from runwright.domain.verdict import GateStatus, Stop


class Said(msgspec.Struct, frozen=True):
    """A message that an agent run leaves in its thread when it ends: its id, who says it, and its parts, sealed.

    A hidden one is for later runs, not for the list of messages.
    """

    message_id: str
    role: str
    sealed: bytes
    hidden: bool = False


class Completed(msgspec.Struct, frozen=True):
    """The work is done. `result` describes the value; `sealed` is its encrypted form, None for no result.

    An agent run says its last answer in `output`, and leaves what it `said`; a runtime run says why it `stop`s, and
    what its gates say.
    """

    result: ValueRef | None = None
    sealed: bytes | None = None
    trace: Trace | None = None
    output: RedactedText | None = None
    said: tuple[Said, ...] = ()
    stop: Stop | None = None
    gate_status: GateStatus = "skipped"


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt failed. `code` is a stable one where Runwright itself complains (such as
    `step.outcome_unknown`), and `details` are what belongs to it, such as the reason of a refusal; `retry_after_ms` is
    what the other side asked us to wait, if it did.
    """

    error_class: str
    message: RedactedText
    retryable: bool = True
    code: str | None = None
    retry_after_ms: int | None = None
    traceback: RedactedText | None = None
    reason: str = "error"
    trace: Trace | None = None
    said: tuple[Said, ...] = ()
    details: dict[str, Any] | None = None


class Accepted(msgspec.Struct, frozen=True):
    """The endpoint took the work over: it holds the lease from now on, and tells the end itself."""

    trace: Trace | None = None


class Parked(msgspec.Struct, frozen=True):
    """The work waits, and holds no slot and no worker meanwhile: for a time, until `due_at` (µs); for anything else,
    at most until then (None: for ever), or the run fails. A wait on input is for the answer to its `question`; one on
    `approval` ends when people have decided, or within the time that it gives them: then the run goes on, denied. What
    an agent `said` before stands in its thread meanwhile.
    """  # fmt: skip

    due_at: int | None
    wait: Wait = Wait("timer")
    question: Question | None = None
    approval: Ask | None = None
    said: tuple[Said, ...] = ()


class Stopped(msgspec.Struct, frozen=True):
    """The executing side confirms that it stopped, as it was asked; what an agent had `said` by then is kept."""

    output: RedactedText | None = None
    said: tuple[Said, ...] = ()


class Released(msgspec.Struct, frozen=True):
    """The worker hands the run back unharmed, because it drains; nothing is counted against the run."""


def said_by(outcome: Outcome) -> tuple[Said, ...]:
    """Return the messages that an ended attempt of an agent leaves."""
    return outcome.said if isinstance(outcome, Completed | Failed | Parked | Stopped) else ()


Outcome = Completed | Failed | Accepted | Parked | Stopped | Released
