"""Stop, restart, resume and replay runs, for a caller who may."""

from __future__ import annotations

from typing import Any

from runwright.domain.commands import Restart, Resume, Stop
from runwright.domain.presets import PROCESS
from runwright.domain.run import Run, StopKind
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.commit import Commit
from runwright.engine.reader import Reader
from runwright.engine.stream import Hub
from runwright.engine.submit import Order
from runwright.errors import Conflict, InvalidRequest
from runwright.store.base import Record

PATIENCE_S = 2.0


class Control:
    """The verbs of a run that exists. Each answers with the run as it then stands."""

    def __init__(self, commit: Commit, hub: Hub) -> None:
        self._commit = commit
        self._hub = hub

    async def stop(
        self, reader: Reader, actor: Actor, run_id: str, kind: StopKind, *, reason: str | None, request_id: str | None
    ) -> Record:
        """Cancel or pause a run; answers when its executing side confirmed, or after two seconds.

        Raises `NotFound`, and `InvalidTransition` for a run that has ended.
        """
        await reader.run(run_id)
        cause = Cause(actor.label, reason, request_id)
        run: Run = await self._commit.apply(Stop(run_id, kind, cause))
        if run.state == "executing":
            await self._hub.left_executing(run_id, PATIENCE_S)
        return await reader.run(run_id)

    async def restart(
        self, reader: Reader, actor: Actor, run_id: str, preset: str | None, *, request_id: str | None
    ) -> Record:
        """Begin a run again in a new attempt, which counts for nothing; answers as `stop` does.

        Raises `NotFound`, `InvalidTransition` for a run that is not executing, paused or waiting, and `InvalidRequest`
        for a preset that is given to a run of another executor than `process`.
        """
        record = await reader.run(run_id)
        if preset is not None and record.run.spec.executor != PROCESS:
            raise InvalidRequest.at("preset", f"is only for runs of the execution mode {PROCESS}")
        run: Run = await self._commit.apply(Restart(run_id, Cause(actor.label, None, request_id), preset))
        if run.state == "executing":
            await self._hub.left_executing(run_id, PATIENCE_S)
        return await reader.run(run_id)

    async def resume(self, reader: Reader, actor: Actor, run_id: str, *, request_id: str | None) -> Record:
        """Let a paused run go on; one that is not paused and has not ended is left as it is.

        Raises `NotFound`; `InvalidTransition` for an ended run, and for one whose pause is not confirmed yet.
        """
        record = await reader.run(run_id)
        run = record.run
        if run.state == "paused" or run.terminal or run.pause_requested_at is not None:
            await self._commit.apply(Resume(run_id, Cause(actor.label, None, request_id)))
            record = await reader.run(run_id)
        return record


def replay_order(
    record: Record,
    payload: dict[str, Any],
    *,
    changed: dict[str, Any] | None,
    patch: dict[str, Any] | None,
    force: bool,
) -> Order:
    """Return the order of a run that does an ended one again, with its payload, another, or a patched one (RFC 7396).

    Raises `Conflict` for a run that has not ended, and for a completed one without `force`.
    """
    run, spec = record.run, record.run.spec
    if not run.terminal:
        raise Conflict(f"the run is {run.state}; only a run that has ended can be replayed", code="runs.not_ended")
    if run.state == "completed" and not force:
        raise Conflict("the run completed; send force: true to replay it all the same", code="runs.completed")
    if changed is not None and patch is not None:
        raise InvalidRequest.at("payload_patch", "send payload or payload_patch, not both")
    if changed is not None:
        payload = changed
    elif patch is not None:
        payload = merge_patch(payload, patch)
    return Order(
        payload=payload,
        tags=spec.tags,
        metadata=spec.metadata,
        priority=spec.priority,
        concurrency_key=spec.concurrency_key,
        max_attempts_override=spec.max_attempts_override,
        timeout_secs_override=spec.timeout_secs_override,
        retry_backoff=spec.retry_backoff,
        retry_initial_delay_secs=spec.retry_initial_delay_secs,
        retry_max_delay_secs=spec.retry_max_delay_secs,
        triggered_by="retry",
        replay_of=spec.run_id,
    )


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with a JSON Merge Patch applied (RFC 7396): null removes, objects merge, the rest replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
