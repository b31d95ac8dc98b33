"""What is told about one run to whoever looks for what went wrong: why it waits, where its time went, and all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import msgspec

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.jobs import insight_schemas as wire
from runwright.api.jobs import run_schemas as shapes
from runwright.api.jobs.jobs import version_view
from runwright.api.jobs.records import attempt_rows
from runwright.api.jobs.reports import ERASED
from runwright.api.jobs.spans import span_views
from runwright.api.jobs.views import (
    checkpoint_view,
    event_view,
    output_view,
    run_view,
    tool_call_view,
    usage_type,
    usage_view,
)
from runwright.api.jobs.webhooks import delivery_view
from runwright.api.routing import Routes
from runwright.domain.events import Event
from runwright.domain.timeline import TOLD, timeline
from runwright.domain.words import word_of
from runwright.engine.reader import Filter, Reader, require_data
from runwright.store.base import Record

routes = Routes(tag="runs")

T = TypeVar("T")
U = TypeVar("U")


@routes.get("/v1/runs/{run_id}/why", scope="runs:read", summary="Tell why a run is not executing")
async def explain_run(call: Call, run_id: str) -> wire.Why:
    """Tell what a run waits for: its time, a slot of a limit, its queue, a worker; or that it executes or has ended."""
    engine = call.services.engine
    run = (await engine.reader(call.actor).run(run_id)).run
    why = await engine.explainer.why(run, call.services.clock.now())
    return wire.Why(
        run_id=run_id,
        status=word_of(run),  # type: ignore[arg-type]
        state=run.state,
        reason=run.reason,
        code=why.code,  # type: ignore[arg-type]
        message=why.message,
        since_at=instants.text(run.since_at),
        due_at=_text(run.due_at),
        expires_at=_text(run.expires_at),
        limit=None if why.limit is None else wire.FullLimit(**msgspec.structs.asdict(why.limit)),
        line=None if why.line is None else wire.Line(**msgspec.structs.asdict(why.line)),
    )


@routes.get("/v1/runs/{run_id}/timeline", scope="runs:read", answers=ERASED, summary="Tell where a run's time went")
async def get_timeline(call: Call, run_id: str) -> wire.Timeline:
    """Tell the states, attempts, phases of dispatch, steps and tool calls of a run as spans, from its log."""
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    require_data(record)
    most = call.services.settings.bundle_records_max
    events, more = await _first(reader.matching_events(run_id, 0, lambda event: event.type in TOLD), most)
    spans = span_views(timeline(events), await reader.attempts(run_id))
    return wire.Timeline(run_id=run_id, trace_id=record.run.spec.trace_id, spans=spans, truncated=more)


@routes.get("/v1/runs/{run_id}/debug-bundle", scope="runs:read", answers=ERASED, summary="Get all about a run")
async def get_debug_bundle(call: Call, run_id: str) -> wire.DebugBundle:
    """Return a run with its records, attempts, children, webhook deliveries and job version, redacted, in one piece."""
    record = await call.services.engine.reader(call.actor).run(run_id)
    require_data(record)
    return await _Bundle(call, record).whole()


class _Bundle:
    """The parts of a bundle, each cut at the same number of rows."""

    def __init__(self, call: Call, record: Record) -> None:
        self._call = call
        self._reader: Reader = call.services.engine.reader(call.actor)
        self._record = record
        self._run_id = record.run.run_id
        self._most = call.services.settings.bundle_records_max
        self._truncated: list[str] = []

    async def whole(self) -> wire.DebugBundle:
        """Return the bundle."""
        run_id, reader = self._run_id, self._reader
        return wire.DebugBundle(
            run=self._shown(self._record),
            events=await self._events("events", reader.matching_events(run_id, 0, lambda _: True), event_view),
            checkpoints=self._cut(
                "checkpoints",
                sorted(await reader.values(self._record, "checkpoint"), key=lambda value: int(value.key)),
                lambda seen: checkpoint_view(run_id, seen),
            ),
            usage=await self._events("usage", reader.all_of_type(run_id, usage_type(self._record.run)), usage_view),
            tool_calls=await self._events("tool_calls", reader.all_of_type(run_id, "tool.called"), tool_call_view),
            outputs=self._cut(
                "outputs", await reader.values(self._record, "output"), lambda seen: output_view(run_id, seen)
            ),
            attempts=self._cut("attempts", await attempt_rows(reader, self._record), lambda row: row[1]),
            children=await self._children(),
            webhook_deliveries=self._cut(
                "webhook_deliveries", await reader.deliveries(run_id, self._most + 1), delivery_view
            ),
            job_version=await self._version(),
            truncated=self._truncated,
        )

    def _shown(self, record: Record) -> shapes.Run:
        office = self._call.services
        return run_view(self._reader, record, office.clock.now(), office.lease_us)

    async def _events(self, part: str, events: AsyncIterator[Event], view: Callable[[Event], U]) -> list[U]:
        found, more = await _first(events, self._most)
        self._truncated += [part] if more else []
        return list(map(view, found))

    def _cut(self, part: str, rows: list[T], view: Callable[[T], U]) -> list[U]:
        self._truncated += [part] if len(rows) > self._most else []
        return list(map(view, rows[: self._most]))

    async def _children(self) -> list[shapes.Run]:
        wanted = Filter(where={"parent_run_id": self._run_id})
        listed = await self._reader.runs(wanted, bound=None, limit=self._most, newest_first=False)
        self._truncated += ["children"] if listed.next_cursor is not None else []
        return list(map(self._shown, listed.records))

    async def _version(self) -> dict[str, Any] | None:
        version_id = self._record.run.spec.job_version_id
        found = None if version_id is None else await self._reader.job_version(version_id)
        shown = None if found is None else msgspec.to_builtins(version_view(found))
        project_id = self._record.run.spec.project_id
        redacted: dict[str, Any] | None = self._call.services.engine.values.shown(project_id, shown)
        return redacted


async def _first(events: AsyncIterator[Event], most: int) -> tuple[list[Event], bool]:
    """Return the first so many events, and whether there are more."""
    found: list[Event] = []
    async for event in events:
        if len(found) == most:
            return found, True
        found.append(event)
    return found, False


def _text(at: int | None) -> str | None:
    return None if at is None else instants.text(at)
