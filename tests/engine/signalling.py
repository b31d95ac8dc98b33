"""Runs that wait for events, and events that are sent to them, in worlds over either database."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from runwright.domain.job import Job, JobDefinition
from runwright.domain.run import Run, Wait
from runwright.engine.requests import Sent
from runwright.engine.signals import Refused, Sending
from tests.engine.world import ADMIN, PROJECT, SECOND, World

HOUR_S = 3600.0


async def parked(world: World, key: str = "go", *, within_s: float | None = HOUR_S, **order: Any) -> Run:
    """Return a run whose attempt has just parked to wait for an event; it may have been there."""
    run_id = await world.submit(world.job(), **order)
    runs = {run.run_id: run for run in await world.take(100)}
    return await park(world, runs[run_id], key, within_s=within_s)


async def park(world: World, run: Run, key: str = "go", *, within_s: float | None = HOUR_S) -> Run:
    """End an attempt by waiting for an event."""
    return await world.finish(run, parking(world, key, within_s))


def parking(world: World, key: str, within_s: float | None = HOUR_S) -> o.Parked:
    """Return the outcome of an attempt that waits for an event."""
    until = None if within_s is None else world.clock.now() + int(within_s * SECOND)
    return o.Parked(until, Wait("event", key, f"ctx.event:{key}"))


async def send(
    world: World, key: str = "go", payload: dict[str, Any] | None = None, project: Project = PROJECT, **more: Any
) -> Sent:
    """Send an event."""
    return (await sent(world, key, payload, project, **more))[0]


async def sent(
    world: World, key: str = "go", payload: dict[str, Any] | None = None, project: Project = PROJECT, **more: Any
) -> tuple[Sent, list[Refused]]:
    """Send an event; return also the jobs that refused to be started."""
    sending = Sending(event_key=key, payload=payload or {}, trace_id="t" * 32, **more)
    return await world.engine.relations.signals.send(ADMIN, project, sending)


async def delivered(world: World, run_id: str) -> dict[str, Any]:
    """Return what a run's code finds as the results of its steps, by name."""
    kept = await world.store.values(run_id, "step")
    return {value.key: (await world.engine.values.unpack("proj_1", value))["result"] for value in kept}


async def triggered_by(world: World, *triggers: dict[str, Any], slug: str = "react", **fields: Any) -> Job:
    """Return a stored job that events start."""
    given = {"name": slug, "slug": slug, "event_triggers": list(triggers), **fields}
    made = await world.engine.jobs.create(ADMIN, PROJECT, msgspec.convert(given, JobDefinition))
    return made.value.job


def kept(world: World) -> list[str]:
    """Return the keys of the events that wait for a waiter."""
    return [key for (key,) in world.rows("SELECT event_key FROM kept_signals ORDER BY signal_id")]
