"""The routes of the worker protocol: each call carries what many runs have to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import TypeVar

import msgspec

from runwright.api.context import Call
from runwright.api.routing import Routes
from runwright.api.worker import schemas as wire
from runwright.config import Settings
from runwright.domain import outcome as o
from runwright.domain.presets import PROCESS
from runwright.domain.run import Wait
from runwright.domain.secrets import Provision
from runwright.domain.workforce import PROTOCOL, Introduction
from runwright.engine.attempt import Attempt
from runwright.engine.captures import came_back, handed_over
from runwright.engine.packing import Saving
from runwright.engine.stops import Stopping
from runwright.engine.values import encode
from runwright.errors import Conflict, Error, InvalidRequest, NotFound

routes = Routes("workers")

UNKNOWN = {404: "The worker is not enrolled: claim first"}

Item = TypeVar("Item", wire.AppendItem, wire.FinishItem)

KEPT_BYTES = 4 << 20
"""How much of a run's values one answer holds, and the value with which it is more."""


@routes.post(
    "/v1/worker/claim", scope="workers:connect", summary="Claim runs", answers={409: "The protocol is another"}
)
async def claim_runs(call: Call, body: wire.ClaimRequest) -> wire.ClaimAnswer:
    """Return up to `free` runs, or requests to stop; wait up to `wait_secs` for either."""
    workforce = call.services.engine.workforce
    await workforce.enrol(worker := _introduced(call, body))
    attempts, stops = await _claimed(call, worker, body)
    return wire.ClaimAnswer(
        assignments=await _assignments(call, attempts),
        stops=stops,
        drain=workforce.draining(worker.worker_id),
        notice=_notice(body.sdk),
        now=call.services.clock.now(),
        server_version=version("runwright"),
        **_terms(call.services.settings),
    )


@routes.post("/v1/worker/heartbeat", scope="workers:connect", answers=UNKNOWN, summary="Keep leases alive")
async def heartbeat(call: Call, body: wire.HeartbeatRequest) -> wire.HeartbeatAnswer:
    """Extend the worker's leases; those that are not its any more are named."""
    engine = call.services.engine
    await _known(call, body.worker_id)
    await engine.workforce.seen(body.worker_id)
    lost, stops = await engine.fleet.beat(body.worker_id, [(ref.run_id, ref.lease_epoch) for ref in body.runs])
    return wire.HeartbeatAnswer(
        lost=lost, stops=list(map(_stop, stops)), drain=engine.workforce.draining(body.worker_id)
    )


@routes.post(
    "/v1/worker/append", scope="workers:connect", summary="Append what attempts wrote", limit="bulk_body_max_bytes"
)
async def append_records(call: Call, body: wire.AppendRequest) -> wire.Results:
    """Append events and keep values of several runs; each item stands for itself, and is durable when answered."""
    fleet = call.services.engine.fleet

    async def append(item: wire.AppendItem, attempt: Attempt) -> None:
        await fleet.append(attempt, _savings(item.savings), item.number)

    return await _each(call, body.worker_id, body.items, append)


@routes.post("/v1/worker/finish", scope="workers:connect", summary="Finish attempts", limit="bulk_body_max_bytes")
async def finish_attempts(call: Call, body: wire.FinishRequest) -> wire.Results:
    """End attempts, each with the last of what it wrote; an attempt whose lease is over changes nothing."""
    fleet = call.services.engine.fleet

    async def finish(item: wire.FinishItem, attempt: Attempt) -> None:
        if item.savings:
            await fleet.append(attempt, _savings(item.savings), item.number)
        if attempt.debug:
            await fleet.capture(attempt, "debug.response", *came_back(item.outcome))
        try:
            outcome = _outcome(attempt, item.outcome)
        except Error as refused:  # a result that cannot be kept ends the run, as it does in the server's own worker
            outcome = attempt.failed(type(refused).__name__, refused.detail, retryable=False, code=refused.code)
        await fleet.finish(attempt, outcome)

    return await _each(call, body.worker_id, body.items, finish)


@routes.post(
    "/v1/worker/kept",
    scope="workers:connect",
    answers={404: "The run is not the caller's", 409: "The lease is over, or another's", 410: "The run has ended"},
    summary="Read what a run has kept",
)
async def read_kept(call: Call, body: wire.KeptRequest) -> wire.KeptAnswer:
    """Return values that the run has kept, by key, from earlier attempts too; of checkpoints the last one."""
    attempt = await _attempt(call, body.worker_id, body.run_id, body.lease_epoch)
    found = await call.services.engine.fleet.kept(attempt, body.kind)
    values: dict[str, msgspec.Raw] = {}
    size = 0
    keys = [key for key in sorted(found) if body.after is None or key > body.after]
    for key in keys:
        values[key] = msgspec.Raw(msgspec.json.encode(found[key]))
        size += len(bytes(values[key]))
        if size > KEPT_BYTES and key != keys[-1]:
            return wire.KeptAnswer(values, key)
    return wire.KeptAnswer(values, None)


@routes.post("/v1/worker/leave", scope="workers:connect", status=204, answers=UNKNOWN, summary="Say good-bye")
async def leave(call: Call, body: wire.LeaveRequest) -> None:
    """Note that the worker ended; leases that it still holds run out by themselves."""
    await _known(call, body.worker_id)
    await call.services.engine.workforce.leave(body.worker_id)


def _terms(settings: Settings) -> dict[str, float]:
    return {
        "lease_secs": settings.lease_s,
        "heartbeat_secs": settings.heartbeat_s,
        "stop_grace_secs": settings.stop_grace_s,
    }


def _introduced(call: Call, body: wire.ClaimRequest) -> Introduction:
    if body.protocol != PROTOCOL:
        older = "the server" if body.protocol > PROTOCOL else "the worker"
        raise Conflict(
            f"this worker speaks protocol {body.protocol}, the server {PROTOCOL}: upgrade {older}",
            code="workers.protocol",
            data={"protocol": PROTOCOL, "server_version": version("runwright")},
        )
    if not body.jobs and not body.processes:
        raise InvalidRequest.at("jobs", "name at least one handler, or say processes: true")
    return Introduction(
        worker_id=body.worker_id,
        org_id=call.actor.org_id,
        project_id=call.actor.project_id,
        name=body.name,
        version=body.version,
        sdk=body.sdk,
        queues=body.queues,
        handlers=body.jobs,
        slots=body.slots,
        processes=body.processes,
    )


async def _claimed(
    call: Call, worker: Introduction, body: wire.ClaimRequest
) -> tuple[list[Attempt], list[wire.StopRequest]]:
    engine, settings = call.services.engine, call.services.settings
    lost = await engine.fleet.again(worker.worker_id, body.running) if body.recover else []
    async with call.departure() as gone:
        found = await engine.fleet.claim(
            worker,
            max(min(body.free - len(lost), settings.claim_max), 0),
            0.0 if lost else min(body.wait_secs, settings.claim_wait_s),
            stay=lambda: not engine.workforce.draining(worker.worker_id),
            gone=gone,
        )
    return [*lost, *found.attempts], list(map(_stop, found.stops))


def _notice(sdk: str) -> str | None:
    ours = version("runwright")
    name, _, theirs = sdk.partition("/")
    if name != "runwright-python" or theirs == ours:
        return None
    return f"this worker has version {theirs} of Runwright, the server {ours}: bring them to the same one"


async def _known(call: Call, worker_id: str) -> None:
    await call.services.engine.workforce.require(call.actor, worker_id)


async def _attempt(call: Call, worker_id: str, run_id: str, lease_epoch: int) -> Attempt:
    attempt = await call.services.engine.fleet.attempt(run_id, lease_epoch, worker_id)
    if not call.actor.sees(attempt.run.spec.org_id, attempt.run.spec.project_id):
        raise NotFound("run", run_id)
    return attempt


async def _each(
    call: Call, worker_id: str, items: Sequence[Item], do: Callable[[Item, Attempt], Awaitable[None]]
) -> wire.Results:
    """Do something for each item, all at once: the commit takes them together."""
    most = call.services.settings.claim_max
    if len(items) > most:
        raise InvalidRequest.at("items", f"at most {most} in one request")

    async def one(item: Item) -> wire.ItemResult:
        try:
            attempt = await _attempt(call, worker_id, item.run_id, item.lease_epoch)
            await do(item, attempt)
        except Error as refused:
            code, error, again = refused.code, refused.detail, refused.retryable
            return wire.ItemResult(run_id=item.run_id, code=code, error=error, retryable=again, stop=None)
        stop = attempt.stop_requested
        return wire.ItemResult(run_id=item.run_id, code=None, error=None, retryable=False, stop=stop)

    return wire.Results(list(await asyncio.gather(*map(one, items))))


def _savings(savings: Sequence[wire.Saving]) -> list[Saving]:
    return [
        Saving(each.events, each.values, [(key.kind, key.key) for key in each.removed], each.annotations)
        for each in savings
    ]


def _outcome(
    attempt: Attempt, told: wire.Completed | wire.Failed | wire.Parked | wire.Stopped | wire.Released
) -> o.Outcome:
    match told:
        case wire.Completed():
            return attempt.completed(told.result)
        case wire.Failed():
            return attempt.failed(
                told.error_class,
                told.message,
                retryable=told.retryable,
                code=told.code,
                retry_after_s=told.retry_after_secs,
                traceback=told.traceback,
                reason=told.reason,
            )
        case wire.Parked():
            if told.on == "timer" and told.wake_at is None:
                raise InvalidRequest.at("outcome.wake_at", "is required for a sleep")
            return o.Parked(told.wake_at, Wait(told.on, told.key, told.name))
        case wire.Stopped():
            return o.Stopped()
        case wire.Released():
            return o.Released()


def _stop(stopping: Stopping) -> wire.StopRequest:
    return wire.StopRequest(stopping.run_id, stopping.lease_epoch, stopping.kind)


async def _assignments(call: Call, attempts: Sequence[Attempt]) -> list[wire.Assignment]:
    """Return what a worker is given; an attempt whose payload cannot be read ends here, alone."""
    given = []
    fleet = call.services.engine.fleet
    for attempt in attempts:
        try:
            given.append(await _assignment(call, attempt, await attempt.provision()))
            if attempt.debug:
                await fleet.capture(attempt, "debug.request", handed_over(attempt.run), encode(attempt.payload()))
        except Error as broken:
            failed = attempt.failed(type(broken).__name__, broken.detail, code=broken.code, reason="system")
            await fleet.finish(attempt, failed)
    return given


async def _assignment(call: Call, attempt: Attempt, provision: Provision) -> wire.Assignment:
    run, spec = attempt.run, attempt.run.spec
    plan = await call.services.engine.workforce.plans.find(run) if spec.executor == PROCESS else None
    return wire.Assignment(
        run_id=spec.run_id,
        job_id=spec.job_id,
        job=spec.handler or "",
        project_id=spec.project_id,
        attempt=run.attempt,
        lease_epoch=run.lease_epoch,
        payload=attempt.payload(),
        metadata=run.metadata,
        tags=spec.tags,
        secrets=provision.secrets,
        env=provision.variables,
        idempotency_key=spec.idempotency_key,
        rerun_unknown_steps=spec.rerun_unknown_steps,
        timeout_secs=spec.timeout_s,
        trace_id=spec.trace_id,
        run_token=call.services.tenants.run_tokens.mint(spec.run_id, run.lease_epoch),
        from_checkpoint=spec.from_checkpoint,
        process=None if plan is None else wire.Process(**msgspec.structs.asdict(plan)),
        stop=attempt.stop_requested,
    )
