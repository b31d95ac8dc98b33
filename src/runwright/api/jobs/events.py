"""Send events to the runs that wait for them and to the jobs that they start."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, idempotency_key
from runwright.api.jobs import event_schemas as wire
from runwright.api.routing import Routes
from runwright.domain.signal import KEY_MAX
from runwright.engine.signals import Sending
from runwright.errors import InvalidRequest

routes = Routes(tag="events")

NOTHING = wire.SendEventRequest()


class InProject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The project whose runs wait for the event."""

    project_id: Annotated[str | None, Meta(description="Default: the key's project, else `default`.")] = None


@routes.post("/v1/events/{key}/send", scope="jobs:trigger", headers=HEADERS, summary="Send an event")
async def send_event(
    call: Call,
    key: str,
    query: InProject,
    body: wire.SendEventRequest = NOTHING,
) -> wire.SentEvent:
    """Wake every run of the project that waits for this key and start every job that it triggers, all or nothing.

    Where no run waits, it is kept for 24 hours and given to the first that does.
    """
    return await _send(call, key, query, body, by_prefix=False)


@routes.post("/v1/events/prefix/{prefix}/send", scope="jobs:trigger", headers=HEADERS, summary="Send to a prefix")
async def send_event_by_prefix(
    call: Call,
    prefix: str,
    query: InProject,
    body: wire.SendEventRequest = NOTHING,
) -> wire.SentEvent:
    """Send an event of every key that begins so, to whoever waits for one now; it is kept for nobody."""
    return await _send(call, prefix, query, body, by_prefix=True)


async def _send(
    call: Call, key: str, query: InProject, body: wire.SendEventRequest, *, by_prefix: bool
) -> wire.SentEvent:
    if len(key) > KEY_MAX:
        raise InvalidRequest.at("key", f"at most {KEY_MAX} characters")
    office = call.services
    project = await office.tenants.resolve_project(call.actor, query.project_id)
    sending = Sending(
        event_key=key,
        payload=body.payload,
        by_prefix=by_prefix,
        idempotency_key=idempotency_key(call),
        request_id=call.request_id,
        trace_id=call.trace_id,
    )
    sent, refused = await office.engine.relations.signals.send(call.actor, project, sending)
    return wire.SentEvent(
        event_id=sent.signal_id,
        event_key=key,
        woken=list(sent.woken),
        triggered=list(sent.triggered),
        kept=sent.kept,
        more=sent.more,
        refused=[wire.RefusedJob(job=each.job, code=each.code, error=each.error) for each in refused],
        idempotency_hit=sent.hit,
    )
