"""The events of a run: a page after another until an empty one, or a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import msgspec
from starlette.responses import Response

from runwright.api import sse
from runwright.api.context import Call
from runwright.api.routing import Reply, Routes
from runwright.api.runtime import addresses
from runwright.api.runtime.event_schemas import EventsListQuery, EventsPage, RuntimeEvent, RuntimeStreamQuery
from runwright.api.runtime.event_views import Frames, event_view
from runwright.api.sse import EventStream
from runwright.domain.pruning import last_event
from runwright.engine.reader import Reader
from runwright.engine.stream import Cut, Lagged
from runwright.errors import Gone, InvalidRequest, NotFound
from runwright.store.base import Record

routes = Routes(tag="runtime")

NDJSON = "application/x-ndjson"
GONE = {410: "Retention has removed the events of the run"}
STREAM = {204: "The stream is at or past the run's terminal event: nothing will follow"}


@addresses.get(routes, "/{run_id}/events/list", scope="runs:read", answers=GONE, summary="Page through a run's events")
async def list_runtime_events(call: Call, run_id: str, query: EventsListQuery) -> EventsPage | Response:
    """Return the events after one, oldest first, the same bytes at every reading; an empty page once all were read.

    `Accept: application/x-ndjson` gets an event a line.
    """
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    after = _after(record, query.after_event_id, query.after_seq)
    if record.pruned_at is not None and after < record.run.seq:
        raise Gone("retention has removed the events of this run; its status stays", code="cursor.expired")
    shown, more = await _page(reader, record, after, query.limit)
    if NDJSON in (call.header("accept") or ""):
        return Response(b"".join(msgspec.json.encode(each) + b"\n" for each in shown), media_type=NDJSON)
    run = (await reader.run(run_id)).run  # after the events: its end is not shown before they are
    return EventsPage(
        run_id=run_id,
        events=shown,
        next_after_event_id=f"{run_id}.{shown[-1].seq}" if shown else (f"{run_id}.{after}" if after else None),
        has_more=more,
        head_seq=run.seq,
        head_hash=run.hash.hex(),
    )


@addresses.get(routes, "/{run_id}/events", scope="runs:read", answers=STREAM, summary="Stream a run's events")
async def stream_runtime_events(call: Call, run_id: str, query: RuntimeStreamQuery) -> EventStream | Reply[None]:
    """Stream the events after one: history first, then live, until the run ends."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    named = 0 if query.after_event_id is None else _after(record, query.after_event_id, None)
    after = max(sse.resume_after(query.after_seq, call.header("last-event-id")), named)
    if record.run.terminal and after >= record.run.seq:
        return Reply(None, status=204)
    return call.stream(_frames(call, reader, record, after, live=query.follow))


async def _frames(call: Call, reader: Reader, record: Record, after: int, *, live: bool) -> AsyncIterator[bytes]:
    run_id = record.run.run_id
    try:
        if record.pruned_at is not None:
            raise Cut(after, record.run)
        frames = None
        async for events in call.services.engine.hub.events(run_id, after, live=live):
            frames = frames or Frames(await reader.hash_at(run_id, events[0].seq - 1))
            yield b"".join([frames.of(event) for event in events])
    except Lagged as lagged:
        yield sse.lagged_frame(lagged.seq)
    except Cut as cut:
        end = last_event(cut.run)
        gap = sse.gap_frame(cut.seq + 1, end.seq - 1) if cut.seq + 1 < end.seq else b""
        yield gap + Frames(b"").of(end)


async def _page(reader: Reader, record: Record, after: int, limit: int) -> tuple[list[RuntimeEvent], bool]:
    run_id = record.run.run_id
    events = await reader.events(run_id, after, limit + 1)
    hashes = [await reader.hash_at(run_id, events[0].seq - 1), *(event.hash for event in events)] if events else []
    shown = [event_view(event, before) for event, (before, _) in zip(events[:limit], pairwise(hashes), strict=False)]
    return shown, len(events) > limit


def _after(record: Record, event_id: str | None, seq: int | None) -> int:
    """Return the seq after which is read. Another run's event is none of this one's."""
    if event_id is None:
        return seq or 0
    if seq is not None:
        raise InvalidRequest.at("after_seq", "is the same as after_event_id: only one of them", code="cursor.invalid")
    run_id, _, number = event_id.rpartition(".")
    if not run_id or not (number.isascii() and number.isdigit() and len(number) <= 15):
        raise InvalidRequest.at("after_event_id", "must be the id of an event", code="cursor.invalid")
    if run_id != record.run.run_id or not 1 <= int(number) <= record.run.seq:
        raise NotFound("event", event_id)
    return int(number)
