"""Webhooks: who is told of which events of runs, what the message says, and when one that failed is sent again."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from runwright.domain import approval
from runwright.domain.events import CHANGES, TERMINAL_TYPES, Event
from runwright.domain.instants import text
from runwright.domain.redaction import RedactedText
from runwright.domain.retry import RetryPolicy, delay_ms
from runwright.domain.run import Run
from runwright.domain.words import word_of

EVERY = "*"
"""Stands for every event type."""

PING = "webhook.ping"

TOLD = CHANGES | frozenset(approval.RECORDS)
"""The event types that somebody may be told of: where runs stand, and what people are asked to decide."""

STEP_TYPES = TOLD - TERMINAL_TYPES
"""The event types that tell of a run before its end."""

EVENT_TYPES: tuple[str, ...] = (*sorted(TOLD), EVERY)
"""What a subscription may name."""

ENDS: tuple[str, ...] = tuple(sorted(TERMINAL_TYPES))
"""What a subscription hears of that names no types: the ends of runs."""

EventTypes = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
    Meta(min_length=1, max_length=32, description="Types of events, or `*` for all; by default the ends of runs."),
]

Outcome = Literal["pending", "delivered", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
OK = range(200, 300)


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is told of events of a project's runs.

    `failing_since` is when the deliveries began to fail of which none has arrived since; `disabled_at` with its reason
    is there when the server switched it off.
    """

    subscription_id: str
    org_id: str
    project_id: str
    url: str
    event_types: tuple[str, ...]
    description: str
    enabled: bool
    created_at: int
    created_by: str
    updated_at: int
    failing_since: int | None = None
    disabled_at: int | None = None
    disabled_reason: str | None = None

    def takes(self, event_type: str) -> bool:
        """Tell whether it hears of events of this type."""
        return event_type in self.event_types or EVERY in self.event_types

    @property
    def steps(self) -> bool:
        """Tell whether it hears of more than the ends of runs."""
        return any(name not in TERMINAL_TYPES for name in self.event_types)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message for one address, and how far it came.

    `source` is the subscription, or the job whose own webhook it is; `event_id` is the message's id, the same in every
    attempt. `round_from` is the attempt after which the present round of attempts began.
    """

    delivery_id: str
    org_id: str
    project_id: str
    source: str
    event_id: str
    event_type: str
    run_id: str | None = None
    seq: int = 0
    run_status: str | None = None
    run_attempt: int | None = None
    outcome: Outcome = "pending"
    attempt: int = 0
    round_from: int = 0
    response_status: int | None = None
    error: RedactedText | None = None
    created_at: int
    next_attempt_at: int | None = None
    last_attempt_at: int | None = None
    ended_at: int | None = None

    @property
    def tried(self) -> int:
        """Return how many attempts this round has had."""
        return self.attempt - self.round_from


class Sent(msgspec.Struct, frozen=True):
    """What came of sending a message: the status that was answered, or why there was no answer."""

    status: int | None
    said: str = ""
    retry_after_s: float | None = None
    retryable: bool = True

    @property
    def arrived(self) -> bool:
        """Tell whether the other side took it."""
        return self.status is not None and self.status in OK

    @property
    def again(self) -> bool:
        """Tell whether another attempt may help: no answer, 429, or the other side's own fault."""
        if self.status is None:
            return self.retryable
        return self.status == 429 or self.status >= 500


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says of the run; what only an end knows is null before it."""

    event_id: str
    seq: int
    run_id: str
    project_id: str
    job_id: str | None
    kind: str
    status: str
    attempt: int
    reason: str | None
    error: str | None
    error_class: str | None
    triggered_by: str
    batch_id: str | None
    parent_run_id: str | None
    replay_of: str | None
    concurrency_key: str | None
    trace_id: str
    tags: dict[str, str]
    metadata: dict[str, str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    message: str
    event: Any


class RunMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message about an event of a run. `event` is the event's own data, as its schema says."""

    type: str
    timestamp: str
    data: RunFacts


class PingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which subscription is tried."""

    subscription_id: str
    project_id: str


class PingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that only shows that messages arrive."""

    type: str
    timestamp: str
    data: PingFacts


_encode = msgspec.json.Encoder().encode


def run_message(delivery: Delivery, run: Run, event: Event) -> bytes:
    """Return the bytes of a message about an event: the same ones whenever it is sent, as neither changes any more."""
    spec, ended = run.spec, event.type in TERMINAL_TYPES
    facts = RunFacts(
        event_id=event.event_id,
        seq=event.seq,
        run_id=spec.run_id,
        project_id=spec.project_id,
        job_id=spec.job_id,
        kind=spec.kind,
        status=word_of(run) if ended or delivery.run_status is None else delivery.run_status,
        attempt=run.attempt if ended or delivery.run_attempt is None else delivery.run_attempt,
        reason=run.reason if ended else None,
        error=run.error if ended else None,
        error_class=run.error_class if ended else None,
        triggered_by=spec.triggered_by,
        batch_id=spec.batch_id,
        parent_run_id=spec.parent_run_id,
        replay_of=spec.replay_of,
        concurrency_key=spec.concurrency_key,
        trace_id=spec.trace_id,
        tags=spec.tags,
        metadata=run.metadata if ended else spec.metadata,
        created_at=text(spec.created_at),
        started_at=None if not ended or run.started_at is None else text(run.started_at),
        finished_at=None if not ended or run.finished_at is None else text(run.finished_at),
        message=event.message,
        event=None if event.data is None else msgspec.Raw(event.data),
    )
    return _encode(RunMessage(type=event.type, timestamp=text(event.created_at), data=facts))


def ping_message(delivery: Delivery) -> bytes:
    """Return the bytes of a ping."""
    facts = PingFacts(subscription_id=delivery.source, project_id=delivery.project_id)
    return _encode(PingMessage(type=PING, timestamp=text(delivery.created_at), data=facts))


def rest_us(policy: RetryPolicy, delivery: Delivery, sent: Sent, draw: float) -> int | None:
    """Return how long (µs) to wait until the next attempt; None where no other follows."""
    if not sent.again or delivery.tried >= policy.max_attempts:
        return None
    asked_ms = None if sent.retry_after_s is None else int(sent.retry_after_s * 1000)
    return delay_ms(policy, delivery.tried, draw, asked_ms) * 1000


def schemas() -> dict[str, dict[str, Any]]:
    """Return a JSON Schema (2020-12) for the messages of each type."""
    kinds: dict[str, type[msgspec.Struct]] = dict.fromkeys(sorted(TOLD), RunMessage)
    return {
        name: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": name,
            **msgspec.json.schema(kind),
        }
        for name, kind in (kinds | {PING: PingMessage}).items()
    }
