"""What can be asked of a run. A command is a plain value; `domain.state.decide` answers it.

Commands of an executing side carry the lease epoch they were made under; a stale one changes nothing.
"""

from __future__ import annotations

import msgspec

from runwright.domain.approval import Verdict, Voter
from runwright.domain.events import Draft
from runwright.domain.outcome import Completed, Failed, Outcome, Stopped
from runwright.domain.question import Mode
from runwright.domain.redaction import Redacted, RedactedText
from runwright.domain.run import On, Run, Spec, StopKind, ValueRef, Wait
from runwright.domain.tenancy import Cause
from runwright.domain.terminal_events import What


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A promise that two requests are one: scope, the key itself, and the request's fingerprint.

    It holds for `ttl_us`; None: as long as keys are kept.
    """

    scope: str
    key: str
    fingerprint: str
    ttl_us: int | None = None


class Value(msgspec.Struct, frozen=True):
    """A working value to store with a run: sealed bytes, or the digest of an artifact that holds them."""

    kind: str
    key: str
    sealed: bytes | None
    artifact: str | None = None
    note: bytes | None = None


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    """Create a run. `opening` is the redacted bytes of the spec: the run's first record and chain genesis.

    With `wait` it begins in waiting, or comes there when it is due, and fails where that has not come within the wait's
    limit, or by `wait_until` (µs).

    It begins with `values`, of which `drafts` tell. With `from_dead_letters` it is made only if the run that it replays
    still is in the dead letter queue, and takes that one off it.
    """

    spec: Spec
    opening: Redacted
    payload: bytes | None
    cause: Cause
    expires_at: int | None = None
    idempotency: IdempotencyKey | None = None
    dedup: IdempotencyKey | None = None
    wait: Wait | None = None
    wait_until: int | None = None
    values: tuple[Value, ...] = ()
    drafts: tuple[Draft, ...] = ()
    from_dead_letters: bool = False
    exclusive: bool = False
    """Whether a run that has its `dedup` key keeps it from being made, and does not stand for it."""

    @property
    def run_id(self) -> str:
        """Return the id of the run to be."""
        return self.spec.run_id


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """Let a trigger join a run that gathers them: its payload, sealed and described, replaces or follows the others."""

    run_id: str
    payload: bytes
    described: ValueRef
    cause: Cause
    key: str | None = None
    trace_id: str | None = None
    idempotency: IdempotencyKey | None = None


class Claim(msgspec.Struct, frozen=True):
    """Begin an attempt of a queued run under a new lease."""

    run_id: str
    worker_id: str


class Append(msgspec.Struct, frozen=True):
    """Append records of an executing attempt to the log, in one transaction with what they tell of.

    `values` are stored; `removed` (kind, key) are forgotten; `annotations` join the run's metadata. With `after`,
    nothing is written unless the run still stands there (`Run.place`): another process may have written since.
    """

    run_id: str
    lease_epoch: int
    drafts: tuple[Draft, ...]
    values: tuple[Value, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    annotations: dict[str, str] = {}
    after: tuple[int, int] | None = None


class Finish(msgspec.Struct, frozen=True):
    """End an attempt with its outcome and its last records. `draw` in [0, 1) is the jitter's randomness; `after` as in
    `Append`.
    """

    run_id: str
    lease_epoch: int
    outcome: Outcome
    draw: float
    drafts: tuple[Draft, ...] = ()
    values: tuple[Value, ...] = ()
    after: tuple[int, int] | None = None


class Stop(msgspec.Struct, frozen=True):
    """Cancel or pause a run: at once when nothing executes, else as a request to the executing side."""

    run_id: str
    kind: StopKind
    cause: Cause


class Restart(msgspec.Struct, frozen=True):
    """Begin a run again in a new attempt, which counts no more than the one that it ends; with another `preset`."""

    run_id: str
    cause: Cause
    preset: str | None = None


class Fence(msgspec.Struct, frozen=True):
    """End a stop request whose grace is over: the executing side is fenced off, unconfirmed."""

    run_id: str
    lease_epoch: int


class Lose(msgspec.Struct, frozen=True):
    """End an attempt whose lease ran out: its worker is gone. An agent run goes on, at most `recoveries_max` times."""

    run_id: str
    lease_epoch: int
    draw: float
    recoveries_max: int = 5


class Due(msgspec.Struct, frozen=True):
    """Move a run on whose delay, retry wait or sleep is over."""

    run_id: str


class Expire(msgspec.Struct, frozen=True):
    """End a run that was not started before its `expires_at`."""

    run_id: str


class Resume(msgspec.Struct, frozen=True):
    """Let a paused run go on where it stopped."""

    run_id: str
    cause: Cause


class Delivery(msgspec.Struct, frozen=True):
    """What a wait ends with: a working value, sealed to be the result of the run's step `name`, where code finds it.

    `ref` is what the log says of it.
    """

    name: str
    ref: ValueRef
    sealed: bytes


class Wake(msgspec.Struct, frozen=True, kw_only=True):
    """Tell a run that what it may wait for is there; one that waits for something else, or for nothing, stays."""

    run_id: str
    on: On
    key: str = ""
    cause: Cause
    delivery: Delivery | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer the request `request_id` of an agent run that waits for it, or steer the run: its next turn hears of it.

    Of several answers one is taken, the others are refused. `content` is redacted; `delivery` is an answer's value,
    exact.
    """

    run_id: str
    mode: Mode
    content: RedactedText
    cause: Cause
    request_id: str | None = None
    delivery: Delivery | None = None
    idempotency: IdempotencyKey | None = None


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """Decide an approval that a run waits for, as the person `by`, about the subject of this digest.

    `maker` is the user who made the run, or made the one that made it, and so on; `others` tells whether somebody else
    may approve. `comment` is redacted.
    """

    run_id: str
    checkpoint_id: str
    verdict: Verdict
    subject_sha256: str
    by: Voter
    cause: Cause
    comment: RedactedText | None = None
    maker: str | None = None
    others: bool = True
    idempotency: IdempotencyKey | None = None


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """Touch the terminal of the command that a run executes just now: type, end that, or change its size.

    What was typed is `sealed`, under `input_id`. Of it at most `most_bytes` wait for the command.
    """

    run_id: str
    what: What
    input_id: str
    cause: Cause
    size: int = 0
    sealed: bytes | None = None
    cols: int | None = None
    rows: int | None = None
    ref: str | None = None
    most_bytes: int = 65_536


class Reschedule(msgspec.Struct, frozen=True, kw_only=True):
    """Let a run that has not begun begin at another time, perhaps with another payload: sealed, and described."""

    run_id: str
    scheduled_at: int
    cause: Cause
    payload: bytes | None = None
    described: ValueRef | None = None


class Debug(msgspec.Struct, frozen=True):
    """Let the attempts that begin from now on record what is handed over and what comes back, or no more."""

    run_id: str
    on: bool
    cause: Cause


class Proceed(msgspec.Struct, frozen=True, kw_only=True):
    """Tell a waiting run how far that has come which it waits for: by records, and where it is decided by its end.

    It may come late, and again, as `Wake`; `after` as in `Append`.
    """

    run_id: str
    on: On
    key: str = ""
    cause: Cause
    drafts: tuple[Draft, ...] = ()
    outcome: Completed | Failed | Stopped | None = None
    after: tuple[int, int] | None = None


class Throttle(msgspec.Struct, frozen=True):
    """Put a run that is about to enter its queue off to its turn: its job lets in no more now."""

    run_id: str
    until: int


Command = (
    Submit
    | Join
    | Claim
    | Append
    | Finish
    | Stop
    | Restart
    | Fence
    | Lose
    | Due
    | Expire
    | Resume
    | Wake
    | Answer
    | Vote
    | Touch
    | Reschedule
    | Debug
    | Proceed
    | Throttle
)


class Decision(msgspec.Struct, frozen=True):
    """The answer to a command: the run as it now stands, and the events that say why."""

    run: Run
    events: tuple[Draft, ...] = ()
