"""The shapes of events on the runtime surface, and what lists and streams of them take."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

LIMIT, MOST = 500, 5_000
EventId = Annotated[str, Meta(min_length=1, max_length=128)]
Seq = Annotated[int, Meta(ge=0, le=10**15)]


class RuntimeUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What an event accounts for: zeros where nothing was spent; a cost of null is unknown."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cost_microusd: int | None
    provider: str | None
    model: str | None
    estimated: bool


class ActorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it: `user`, `service`, `worker`, `system`, and which."""

    kind: str
    id: str


class RuntimeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a run. `hash` covers it and `prev_hash`, the hash of the one before; both in hex.

    `legacy_type` is its name in the original's words; `payload.summary` a sentence. Where the data of an event were
    erased, the payload is the summary alone.
    """

    event_id: str
    run_id: str
    seq: int
    ts: str
    type: str
    legacy_type: str
    kind: str
    level: str
    actor: str
    actor_detail: ActorDetail
    payload: dict[str, Any]
    usage: RuntimeUsage
    duration_ms: int
    token_usage: int
    cost_usd: float | None
    hash: str
    prev_hash: str
    erased: bool


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events in their order, none once all were read. `head_seq` and `head_hash` are where the log ends just now."""

    run_id: str
    events: list[RuntimeEvent]
    next_after_event_id: str | None
    has_more: bool
    head_seq: int
    head_hash: str


class EventsListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """After which event, and how many."""

    after_event_id: Annotated[EventId | None, Meta(description="Events after this one; default: all.")] = None
    after_seq: Annotated[Seq | None, Meta(description="The same by number; not both.")] = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="At most so many.")] = LIMIT


class RuntimeStreamQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a stream goes on: the largest of these and of `Last-Event-ID`."""

    after_seq: Seq | None = None
    after_event_id: EventId | None = None
    follow: Annotated[bool, Meta(description="`false`: end after the history.")] = True
