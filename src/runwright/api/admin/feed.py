"""The state changes of all runs that the caller may see, as one stream: `/v1/feed`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.routing import Routes
from runwright.api.sse import EventStream
from runwright.domain.run import Run
from runwright.domain.words import word_of

routes = Routes("feed")

NOWHERE = {404: "The project is not the caller's"}
_encode = msgspec.json.Encoder().encode


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose runs to follow."""

    project_id: Annotated[str | None, Meta(description="A project by id or slug; default all of the caller's.")] = None


class Change(msgspec.Struct, frozen=True):
    """Where a run stands after a transaction that moved it."""

    run_id: str
    project_id: str
    job_id: str | None
    kind: str
    status: str
    state: str
    reason: str | None
    attempt: int
    last_seq: int
    at: str


@routes.get("/v1/feed", scope="runs:read", answers=NOWHERE, summary="Follow the state changes of all runs")
async def get_feed(call: Call, query: FeedQuery) -> EventStream:
    """Stream state changes as they happen. A `resync` frame, first and after an overflow, says: read the lists."""
    office, actor = call.services, call.actor
    project_id = actor.project_id
    if query.project_id is not None:
        project_id = (await office.tenants.resolve_project(actor, query.project_id)).project_id

    async def frames() -> AsyncIterator[bytes]:
        yield resync_frame("connected", 0)
        async for news in office.engine.feed.follow(actor.org_id, project_id, change_frame):
            yield news.frames if not news.missed else resync_frame("overflow", news.missed)

    return call.stream(frames())


def change_frame(run: Run) -> bytes:
    """Write a state change as the feed shows it; without an id, for nothing is sent again."""
    spec = run.spec
    change = Change(
        run.run_id,
        spec.project_id,
        spec.job_id,
        spec.kind,
        word_of(run),
        run.state,
        run.reason,
        run.attempt,
        run.seq,
        instants.text(run.at),
    )
    return b"data: %b\n\n" % _encode(change)


def resync_frame(reason: str, missed: int) -> bytes:
    """Say that the reader's picture may be old: it is to read the lists, and goes on with what comes from here."""
    return b'event: resync\ndata: {"reason":"%b","missed":%d}\n\n' % (reason.encode(), missed)
