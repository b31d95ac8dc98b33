"""Events as the runtime surface shows them: the same bytes each time that one is read."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.api import instants
from runwright.api.runtime.event_schemas import ActorDetail, RuntimeEvent, RuntimeUsage
from runwright.domain.events import CATALOGUE, Event
from runwright.domain.summaries import summary

USED = "usage.recorded"
"""The one type that accounts for calls of models: what `llm.response` says again would be counted twice."""
REPORTED = "usage.reported"
LEGACY = {"budget.exhausted": "budget_stop", "approval.approved": "approved", "approval.denied": "denied"}
"""The original's names for types; for others they are ours with underscores."""
NOTHING = RuntimeUsage(
    input_tokens=0,
    output_tokens=0,
    cache_read_tokens=0,
    cost_microusd=0,
    provider=None,
    model=None,
    estimated=False,
)
_encode = msgspec.json.Encoder().encode


def event_view(event: Event, before: bytes) -> RuntimeEvent:
    """Return an event; `before` is the hash of the one before it, or the log's genesis."""
    data: dict[str, Any] | None = None if event.data is None else msgspec.json.decode(event.data)
    usage = _usage(event.type, data or {})
    microusd = usage.cost_microusd
    kind, _, ident = event.actor.partition(":")
    return RuntimeEvent(
        event_id=event.event_id,
        run_id=event.run_id,
        seq=event.seq,
        ts=instants.text(event.created_at),
        type=event.type,
        legacy_type=LEGACY.get(event.type, event.type.replace(".", "_")),
        kind=CATALOGUE[event.type].kind,
        level=event.level,
        actor=event.actor,
        actor_detail=ActorDetail(kind=kind, id=ident),
        payload={"summary": summary(event.type, event.message, data), **(data or {})},
        usage=usage,
        duration_ms=int((data or {}).get("duration_ms", 0)),
        token_usage=usage.input_tokens + usage.output_tokens,
        cost_usd=None if microusd is None else microusd / 1_000_000,
        hash=event.hash.hex(),
        prev_hash=before.hex(),
        erased=event.data is None,
    )


class Frames:
    """Writes the frames of one stream: each event names the one before it."""

    def __init__(self, before: bytes) -> None:
        self._before = before

    def of(self, event: Event) -> bytes:
        """Return the next event as `id`, `event` and `data`."""
        shown, self._before = event_view(event, self._before), event.hash
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.type.encode(), _encode(shown))


def _usage(type_: str, data: dict[str, Any]) -> RuntimeUsage:
    if type_ == USED:
        return RuntimeUsage(
            input_tokens=data["input_tokens"],
            output_tokens=data["output_tokens"],
            cache_read_tokens=data["cached_tokens"],
            cost_microusd=data["cost_microusd"],
            provider=data["provider"],
            model=data["model"],
            estimated=data.get("estimated", False),
        )
    if type_ == REPORTED:
        return RuntimeUsage(
            input_tokens=data.get("prompt_tokens", 0),
            output_tokens=data.get("completion_tokens", 0),
            cache_read_tokens=0,
            cost_microusd=data.get("cost_microusd", 0),
            provider=data["provider"],
            model=data["model"],
            estimated=False,
        )
    return NOTHING
