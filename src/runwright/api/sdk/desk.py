"""Let a call to the run that it is for, and answer it with what the run is asked to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import msgspec

from runwright.api.context import Call
from runwright.api.routing import Reply
from runwright.domain.run import StopKind
from runwright.domain.tenancy import Actor
from runwright.engine.attempt import Attempt
from runwright.errors import FieldError, InvalidRequest, InvalidTransition, NotFound, StaleLease, StaleToken

T = TypeVar("T")

SCOPE = "workers:connect"
CAPABILITIES = (
    "annotate,checkpoint,complete,continue,fail,heartbeat,iteration,log,memory,output,payload,progress,resources,secrets,"
    "spawn,state,stream,tool-call,usage,wait-for-event"
)
"""What there is to call, in the header `X-SDK-Capabilities` of every answer."""

ROUTE: dict[str, Any] = {
    "scope": SCOPE,
    "run_tokens": True,
    "answers": {409: "The run is not executing, so that no key can act for it", 410: "The run has ended"},
    "answer_headers": {
        "X-Runwright-Stop": "What the run is asked to do, if anything: `cancel`, `restart` or `pause`.",
        "X-SDK-Capabilities": "What can be called, separated by commas.",
    },
}
"""What all routes of this room say of themselves."""


class Desk(NamedTuple):
    """The attempt that a call is for, and who makes it."""

    attempt: Attempt
    actor: Actor

    @property
    def run_id(self) -> str:
        """Return the run's id."""
        return self.attempt.run.run_id

    @property
    def stop(self) -> StopKind | None:
        """Return what the run is asked to do."""
        return self.attempt.run.stop

    def reply(self, value: T) -> Reply[T]:
        """Answer, with the headers of every answer."""
        headers = {"x-sdk-capabilities": CAPABILITIES}
        if self.stop is not None:
            headers["x-runwright-stop"] = self.stop
        return Reply(value, headers=headers)

    def over(self, kind: Callable[..., T], view: msgspec.Struct) -> Reply[T]:
        """Answer with what came of the attempt: there is nothing left to stop."""
        return Reply(kind(**_fields(view), stop=None), headers={"x-sdk-capabilities": CAPABILITIES})

    def saved(self, kind: Callable[..., T], view: msgspec.Struct) -> Reply[T]:
        """Answer with what was saved, as readers see it, and what the run is asked to do."""
        return self.reply(kind(**_fields(view), stop=self.stop))


@asynccontextmanager
async def working(call: Call, run_id: str) -> AsyncIterator[Desk]:
    """Let a call to the attempt under way, and renew the lease of an endpoint that makes it.

    Raises `NotFound` for another's run, `RunEnded` whatever lease a token of the ended run names, `StaleToken` for one
    of a lease that is over, and `InvalidTransition` where a key acts and nothing executes.
    """
    fleet = call.services.engine.fleet
    lease_epoch = await _epoch(call, run_id)
    try:
        attempt = await fleet.attempt(run_id, lease_epoch)
        lease_epoch = attempt.run.lease_epoch
        await fleet.touch(attempt)
        spec = attempt.run.spec
        own = Actor(kind="run", id=run_id, org_id=spec.org_id, project_id=spec.project_id)
        yield Desk(attempt, own if call.lease is not None else call.actor)
    except StaleLease as stale:
        await _require_going_on(call, run_id, lease_epoch)
        raise StaleToken() if call.lease is not None else stale from None


async def _epoch(call: Call, run_id: str) -> int | None:
    """Return the epoch of a call's token, or none for a key: it acts under whatever lease there is."""
    if call.lease is not None:
        if call.lease.run_id != run_id:
            raise NotFound("run", run_id)
        return call.lease.lease_epoch
    run = (await call.services.engine.reader(call.actor).run(run_id)).run
    if not run.terminal and run.state != "executing":
        raise InvalidTransition(f"a run that is {run.state} is not worked on: only an executing one takes this")
    return None


async def _require_going_on(call: Call, run_id: str, lease_epoch: int | None) -> None:
    """Raise `NotFound` or `RunEnded` where that is why a lease is over: it says more."""
    try:
        await call.services.engine.fleet.attempt(run_id, lease_epoch)
    except StaleLease:
        return


def either(first: str | None, second: str | None, name: str, synonym: str) -> str:
    """Return what a field of two spellings says. Raises `InvalidRequest` unless exactly one of them is there."""
    if first is not None and second is not None:
        raise InvalidRequest(fields=[FieldError(synonym, f"is a synonym of {name}: only one of them")])
    found = second if first is None else first
    if found is None:
        raise InvalidRequest.at(name, "is required")
    return found


def _fields(view: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(view, name) for name in view.__struct_fields__}
