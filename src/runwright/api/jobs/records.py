"""The records of a run: its events as JSON or as a stream, attempts, effects, checkpoints, outputs, artifacts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec

from runwright.api import sse
from runwright.api.context import Call
from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.artifacts import RunArtifact, lying_id, lying_view
from runwright.api.jobs.reports import ERASED, beyond
from runwright.api.jobs.views import (
    attempt_view,
    checkpoint_view,
    current_attempt,
    event_view,
    output_view,
    state_view,
)
from runwright.api.pages import Page, PageQuery
from runwright.api.routing import Reply, Routes
from runwright.api.slices import sliced
from runwright.api.sse import EventStream
from runwright.domain.events import CATALOGUE, Event, schemas
from runwright.domain.pruning import last_event
from runwright.engine.reader import Beyond, Reader, require_data, require_log
from runwright.engine.stream import Cut, Lagged
from runwright.errors import InvalidRequest
from runwright.store.base import Record

routes = Routes(tag="runs")

Row = TypeVar("Row", wire.Attempt, wire.Checkpoint, wire.Output, wire.RunState, RunArtifact)

OWN_STEPS = "ctx."  # what the context keeps for itself, such as sleeps, has no effect outside
CHUNK = "stream.chunk"
STREAM = {204: "The stream is at or past the run's terminal event: nothing will follow"}


@routes.get(
    "/v1/runs/{run_id}/events",
    scope="runs:read",
    summary="List a run's events, or stream them",
    answers=STREAM | ERASED,
)
async def list_events(call: Call, run_id: str, query: wire.EventsQuery) -> Page[wire.Event] | EventStream | Reply[None]:
    """Answer by `Accept`: `text/event-stream` gets the stream, everything else a page of JSON, oldest first."""
    if sse.is_asked_for(call.header("accept")):
        return await _stream(call, run_id, query, _encoder(query))
    office = call.services
    reader = office.engine.reader(call.actor)
    require_log(await reader.run(run_id))
    window = query.window(office.settings, order="asc")
    if window.newest_first:
        raise InvalidRequest.at("order", "events are read in their own order: asc")
    place = beyond(window, run_id)
    keep = _keep(query)
    found: list[Event] = []
    async for event in reader.matching_events(
        run_id, max(query.after_seq or 0, place.after_seq), lambda event: event.created_at > place.after and keep(event)
    ):
        found.append(event)
        if len(found) > window.limit:
            break
    return Page.of(found, window, event_view, lambda event: event.event_id)


@routes.get("/v1/runs/{run_id}/stream", scope="runs:read", summary="Stream a run's events", answers=STREAM)
async def stream_events(call: Call, run_id: str, query: wire.StreamQuery) -> EventStream | Reply[None]:
    """Stream the events after `after_seq` or `Last-Event-ID`: history first, then live, until the run ends."""
    return await _stream(call, run_id, query, _encoder(query))


@routes.get(
    "/v1/runs/{run_id}/stream/chunks", scope="runs:read", summary="Stream the chunks of a run's streams", answers=STREAM
)
async def stream_chunks(call: Call, run_id: str, query: wire.ChunksQuery) -> EventStream | Reply[None]:
    """Stream the `stream.chunk` events alone, as `…/stream` does all: history first, then live, until the run ends."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    after = Beyond(sse.resume_after(query.after_seq, call.header("last-event-id")))
    # Who comes back after the last chunk has never seen the end of the run.
    if (
        record.run.terminal
        and record.pruned_at is None
        and not await reader.of_type(run_id, CHUNK, beyond=after, limit=1)
    ):
        return Reply(None, status=204)
    return await _stream(call, run_id, query, _named_chunk if query.named else _plain_chunk)


async def _stream(
    call: Call, run_id: str, query: wire.ChunksQuery | wire.EventsQuery, encode: Callable[[Event], bytes]
) -> EventStream | Reply[None]:
    engine = call.services.engine
    record = await engine.reader(call.actor).run(run_id)
    after = sse.resume_after(query.after_seq, call.header("last-event-id"))
    if record.run.terminal and after >= record.run.seq:
        return Reply(None, status=204)

    async def frames() -> AsyncIterator[bytes]:
        try:
            if record.pruned_at is not None:
                raise Cut(after, record.run)
            async for chunk in engine.hub.follow(run_id, after, encode, live=query.follow):
                yield chunk
        except Lagged as lagged:
            yield sse.lagged_frame(lagged.seq)
        except Cut as cut:
            yield _rest(cut, encode)

    return call.stream(frames())


def _rest(cut: Cut, encode: Callable[[Event], bytes]) -> bytes:
    """Return what a stream ends with whose history is gone: the gap, and the end of the run as its summary tells it."""
    end = last_event(cut.run)
    gap = sse.gap_frame(cut.seq + 1, end.seq - 1) if cut.seq + 1 < end.seq else b""
    # Who has no use for the end comes back all the same, and behind it gets 204.
    return gap + (encode(end) or sse.place_frame(end.seq))


def _named(event: Event) -> bytes:
    return sse.v1_frame(event, named=True)


def _plain(event: Event) -> bytes:
    return sse.v1_frame(event)


def _plain_chunk(event: Event) -> bytes:
    return sse.v1_frame(event) if event.type == CHUNK else b""


def _named_chunk(event: Event) -> bytes:
    return sse.v1_frame(event, named=True) if event.type == CHUNK else b""


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


@routes.get("/v1/runs/{run_id}/attempts", scope="runs:read", answers=ERASED, summary="List a run's attempts")
async def list_attempts(call: Call, run_id: str, query: PageQuery) -> Page[wire.Attempt]:
    """List every lease of a run, oldest first, the one under way last."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    require_log(record)
    return _slice(call, query, await attempt_rows(reader, record))


async def attempt_rows(reader: Reader, record: Record) -> list[tuple[int, wire.Attempt]]:
    """Return every lease of a run with the instant of its begin, the one under way last."""
    run = record.run
    told = await reader.exchanges(run)
    rows = [
        (attempt.started_at, attempt_view(attempt, told.get(attempt.lease_epoch, ())))
        for attempt in await reader.attempts(run.run_id)
    ]
    current = current_attempt(run, told.get(run.lease_epoch, ()))
    return rows if current is None else [*rows, (run.since_at, current)]


@routes.get(
    "/v1/runs/{run_id}/effects", scope="runs:read", answers=ERASED, summary="Tell whether it is safe to resume a run"
)
async def get_effects(call: Call, run_id: str) -> wire.Effects:
    """Tell which steps are finished, which would run again, and of which nobody knows whether they took effect."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    finished, repeat, unknown = [], [], []
    steps = [step for step in await reader.values(record, "step") if not step.key.startswith(OWN_STEPS)]
    for step in steps:
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


@routes.get("/v1/runs/{run_id}/checkpoints", scope="runs:read", answers=ERASED, summary="List a run's checkpoints")
async def list_checkpoints(call: Call, run_id: str, query: PageQuery) -> Page[wire.Checkpoint]:
    """List the states that the job saved, oldest first."""
    reader = call.services.engine.reader(call.actor)
    record: Record = await reader.run(run_id)
    seen = sorted(await reader.values(record, "checkpoint"), key=lambda value: int(value.key))
    return _slice(call, query, [(value.created_at, checkpoint_view(run_id, value)) for value in seen])


@routes.get("/v1/runs/{run_id}/outputs", scope="runs:read", answers=ERASED, summary="List a run's outputs")
async def list_outputs(call: Call, run_id: str, query: PageQuery) -> Page[wire.Output]:
    """List the named outputs of a run, the latest under each key, oldest first."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    seen = sorted(await reader.values(record, "output"), key=lambda value: (value.created_at, value.key))
    return _slice(call, query, [(value.created_at, output_view(run_id, value)) for value in seen])


@routes.get("/v1/runs/{run_id}/state", scope="runs:read", answers=ERASED, summary="List a run's state")
async def list_state(call: Call, run_id: str, query: PageQuery) -> Page[wire.RunState]:
    """List what the job keeps under keys, the one that was changed longest ago first."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    seen = sorted(await reader.values(record, "state"), key=lambda value: (value.created_at, value.key))
    return _slice(call, query, [(value.created_at, state_view(run_id, value)) for value in seen])


@routes.get("/v1/runs/{run_id}/artifacts", scope="runs:read", answers=ERASED, summary="List a run's artifacts")
async def list_artifacts(call: Call, run_id: str, query: PageQuery) -> Page[RunArtifact]:
    """List the values of the run that lie in artifacts, oldest first."""
    engine = call.services.engine
    require_data(await engine.reader(call.actor).run(run_id))
    artifacts = engine.operations.artifacts
    seen = [(value.created_at, value) for value in await artifacts.of_run(call.actor, run_id)]
    page = sliced(query.window(call.services.settings, order="asc"), seen, lambda value: lying_id(run_id, value))
    rows = [lying_view(run_id, value, await artifacts.size(value.digest)) for value in page.items]
    return Page(rows, page.next_cursor)


def _slice(call: Call, query: PageQuery, rows: list[tuple[int, Row]]) -> Page[Row]:
    """Return a page of rows that come with their instants, oldest first: a run has few of these."""
    return sliced(query.window(call.services.settings, order="asc"), rows, lambda row: row.id)


@routes.get("/v1/schemas/events", scope="runs:read", summary="The JSON Schema of every event's data")
async def get_event_schemas(call: Call) -> Reply[msgspec.Raw]:
    """Return the catalogue: event type → JSON Schema (2020-12) of its data."""
    return Reply(msgspec.Raw(_SCHEMAS))


_SCHEMAS = msgspec.json.encode(schemas())
