"""The records of a run: its events as JSON or as a stream, attempts, effects, checkpoints, outputs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec

from runwright.api import sse
from runwright.api.context import Call
from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.views import (
    attempt_view,
    checkpoint_view,
    current_attempt,
    event_view,
    output_view,
)
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Reply, Routes
from runwright.api.sse import EventStream
from runwright.domain.events import CATALOGUE, Event, schemas
from runwright.engine.stream import Lagged
from runwright.errors import InvalidRequest
from runwright.store.base import Record

routes = Routes(tag="runs")

Row = TypeVar("Row", wire.Checkpoint, wire.Output)

STREAM = {204: "The stream is at or past the run's terminal event: nothing will follow"}


@routes.get(
    "/v1/runs/{run_id}/events",
    scope="runs:read",
    summary="List a run's events, or stream them",
    answers=STREAM,
)
async def list_events(call: Call, run_id: str, query: wire.EventsQuery) -> Page[wire.Event] | EventStream | Reply[None]:
    """Answer by `Accept`: `text/event-stream` gets the stream, everything else a page of JSON, oldest first."""
    if sse.is_asked_for(call.header("accept")):
        return await _stream(call, run_id, query)
    office = call.services
    reader = office.engine.reader(call.actor)
    await reader.run(run_id)
    window = query.window(office.settings, order="asc")
    if window.newest_first:
        raise InvalidRequest.at("order", "events are read in their own order: asc")
    after = max(query.after_seq or 0, _cursor_seq(window.cursor, run_id))
    found: list[Event] = []
    async for event in reader.matching_events(run_id, after, _keep(query)):
        found.append(event)
        if len(found) > window.limit:
            break
    return Page.of(found, window, event_view, lambda event: event.event_id)


@routes.get("/v1/runs/{run_id}/stream", scope="runs:read", summary="Stream a run's events", answers=STREAM)
async def stream_events(call: Call, run_id: str, query: wire.StreamQuery) -> EventStream | Reply[None]:
    """Stream the events after `after_seq` or `Last-Event-ID`: history first, then live, until the run ends."""
    return await _stream(call, run_id, query)


async def _stream(call: Call, run_id: str, query: wire.StreamQuery | wire.EventsQuery) -> EventStream | Reply[None]:
    engine = call.services.engine
    record = await engine.reader(call.actor).run(run_id)
    after = sse.resume_after(query.after_seq, call.header("last-event-id"))
    if record.run.terminal and after >= record.run.seq:
        return Reply(None, status=204)
    encode = _encoder(query)

    async def frames() -> AsyncIterator[bytes]:
        try:
            async for chunk in engine.hub.follow(run_id, after, encode, live=query.follow):
                yield chunk
        except Lagged as lagged:
            yield sse.lagged_frame(lagged.seq)

    return call.stream(frames())


def _named(event: Event) -> bytes:
    return sse.v1_frame(event, named=True)


def _plain(event: Event) -> bytes:
    return sse.v1_frame(event)


def _encoder(query: wire.StreamQuery | wire.EventsQuery) -> Callable[[Event], bytes]:
    encode = _named if query.named else _plain
    level = query.level if isinstance(query, wire.EventsQuery) else None
    if query.types is None and level is None and not (isinstance(query, wire.EventsQuery) and query.type):
        return encode  # one function for all: the hub encodes once for everybody who asks for the same
    keep = _keep(query)
    return lambda event: encode(event) if keep(event) else b""


def _keep(query: wire.StreamQuery | wire.EventsQuery) -> Callable[[Event], bool]:
    types = {name.strip() for name in query.types.split(",")} if query.types else set()
    level = None
    if isinstance(query, wire.EventsQuery):
        level = query.level
        types |= {query.type} if query.type else set()
    unknown = sorted(types - CATALOGUE.keys())
    if unknown:
        raise InvalidRequest.at("types", f"there are no events of the type {unknown[0][:64]!r}")
    return lambda event: (not types or event.type in types) and (level is None or event.level == level)


def _cursor_seq(cursor: str | None, run_id: str) -> int:
    if cursor is None:
        return 0
    owner, _, seq = cursor.rpartition(".")
    if owner != run_id or not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise InvalidRequest.at("cursor", "must be the id of an event of this run", code="cursor.invalid")
    return int(seq)


@routes.get("/v1/runs/{run_id}/attempts", scope="runs:read", summary="List a run's attempts")
async def list_attempts(call: Call, run_id: str) -> list[wire.Attempt]:
    """List every lease of a run, oldest first, the one under way last."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    ended = [attempt_view(attempt) for attempt in await reader.attempts(run_id)]
    current = current_attempt(record.run)
    return ended if current is None else [*ended, current]


@routes.get("/v1/runs/{run_id}/effects", scope="runs:read", summary="Tell whether it is safe to resume a run")
async def get_effects(call: Call, run_id: str) -> wire.Effects:
    """Tell which steps are finished, which would run again, and of which nobody knows whether they took effect."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    finished, repeat, unknown = [], [], []
    for step in await reader.values(record, "step"):
        state = step.value if isinstance(step.value, dict) else {}
        if "started" not in state:
            finished.append(step.key)
        elif state.get("effect") == "unsafe":
            unknown.append(step.key)
        else:
            repeat.append(step.key)
    return wire.Effects(
        run_id=run_id, finished=finished, would_repeat=repeat, unknown=unknown, safe_to_resume=not unknown
    )


@routes.get("/v1/runs/{run_id}/checkpoints", scope="runs:read", summary="List a run's checkpoints")
async def list_checkpoints(call: Call, run_id: str, query: PageQuery) -> Page[wire.Checkpoint]:
    """List the states that the job saved, oldest first."""
    reader = call.services.engine.reader(call.actor)
    record: Record = await reader.run(run_id)
    seen = sorted(await reader.values(record, "checkpoint"), key=lambda value: int(value.key))
    return _slice(call, query, [checkpoint_view(run_id, value) for value in seen])


@routes.get("/v1/runs/{run_id}/outputs", scope="runs:read", summary="List a run's outputs")
async def list_outputs(call: Call, run_id: str, query: PageQuery) -> Page[wire.Output]:
    """List the named outputs of a run, the latest under each key, oldest first."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    seen = sorted(await reader.values(record, "output"), key=lambda value: (value.created_at, value.key))
    return _slice(call, query, [output_view(run_id, value) for value in seen])


def _slice(call: Call, query: PageQuery, rows: list[Row]) -> Page[Row]:
    # A run has few of these: they are read whole, and a cursor is the id of the last one seen.
    window = query.window(call.services.settings, order="asc")
    if window.newest_first:
        rows.reverse()
    if window.cursor is not None:
        places = [place for place, row in enumerate(rows) if row.id == window.cursor]
        if not places:
            window.refuse()
        rows = rows[places[0] + 1 :]
    return Page.of(rows, window, lambda row: row, lambda row: row.id)


@routes.get("/v1/schemas/events", scope="runs:read", summary="The JSON Schema of every event's data")
async def get_event_schemas(call: Call) -> Reply[msgspec.Raw]:
    """Return the catalogue: event type → JSON Schema (2020-12) of its data."""
    return Reply(msgspec.Raw(_SCHEMAS))


_SCHEMAS = msgspec.json.encode(schemas())
