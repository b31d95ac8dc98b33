"""Do again what an ended run did, in a new run: the same, or with another payload, version or beginning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from runwright.domain.accounts import Project
from runwright.domain.commands import Submit
from runwright.domain.ending import draft
from runwright.domain.job import Job
from runwright.domain.job_events import CheckpointSaved
from runwright.domain.run import Spec
from runwright.domain.tenancy import Actor
from runwright.engine.flows import Flows
from runwright.engine.jobs import Jobs
from runwright.engine.orders import Order
from runwright.engine.reader import Reader
from runwright.engine.submit import Submitter
from runwright.engine.values import Values
from runwright.engine.workflow_runs import WorkflowOrder
from runwright.errors import Conflict, Error, InvalidRequest, NotFound
from runwright.store.base import Record

Projects = Callable[[Actor, str], Awaitable[Project]]
"""Returns a project by its id, for a caller who sees it."""

SOURCE = "replay"
"""Who saved the checkpoint that a replay begins with."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """How a replay differs from the run that it repeats."""

    payload: dict[str, Any] | None = None
    payload_patch: dict[str, Any] | None = None
    from_checkpoint: int | None = None
    version: str = "same"
    force: bool = False
    debug_mode: bool = False
    dead_letter: bool = False
    from_failed: bool = False
    idempotency_key: str | None = None


class Made(msgspec.Struct, frozen=True):
    """A replay, ready to be committed, and the payload that it has."""

    payload: dict[str, Any]
    command: Submit


class Replays:
    """Makes the commands of replays."""

    def __init__(self, jobs: Jobs, flows: Flows, submitter: Submitter, values: Values) -> None:
        self._jobs = jobs
        self._flows = flows
        self._submitter = submitter
        self._values = values

    async def command(
        self,
        reader: Reader,
        actor: Actor,
        record: Record,
        asked: Replay,
        projects: Projects,
        *,
        request_id: str | None,
        trace_id: str,
        pinned: dict[str, Job] | None = None,
    ) -> Made:
        """Return the command that does a run again; what is read of versions of jobs is kept in `pinned`.

        Raises `Conflict` for a run that has not ended, for a completed one without `force`, and for a disabled job;
        `NotFound` for a deleted job and an unknown checkpoint; `Gone` for a run whose data were erased.
        """
        payload = new_payload(record, reader.exact_payload(record) or {}, asked)
        if record.run.spec.workflow is not None:
            project = await projects(actor, record.run.spec.project_id)
            command = await self._flow(actor, project, record, payload, asked, request_id=request_id, trace_id=trace_id)
            return Made(payload, command)
        order = replay_order(record.run.spec, payload, asked)
        job = await self._job(actor, record.run.spec, asked.version, {} if pinned is None else pinned)
        project = await projects(actor, record.run.spec.project_id)
        command = self._submitter.command(actor, project, job, order, request_id=request_id, trace_id=trace_id)
        command = replace(command, from_dead_letters=asked.dead_letter)
        if asked.from_checkpoint is None:
            return Made(payload, command)
        state = await reader.checkpoint(record, asked.from_checkpoint)
        return Made(payload, await self._continued(command, state))

    async def commands(
        self,
        reader: Reader,
        actor: Actor,
        run_ids: Sequence[str],
        asked: Replay,
        projects: Projects,
        *,
        request_id: str | None,
        trace_id: str,
    ) -> tuple[list[tuple[str, Submit | Error]], list[Spec]]:
        """Return for each of the runs, in order and each once, its command or why there is none; and their specs."""
        records = {record.run.run_id: record for record in await reader.records(list(dict.fromkeys(run_ids)))}
        pinned: dict[str, Job] = {}
        found: dict[str, Project] = {}

        async def once(who: Actor, project_id: str) -> Project:
            if project_id not in found:
                found[project_id] = await projects(who, project_id)
            return found[project_id]

        items: list[tuple[str, Submit | Error]] = []
        for run_id in dict.fromkeys(run_ids):
            record = records.get(run_id)
            try:
                if record is None:
                    raise NotFound("run", run_id)
                made = await self.command(
                    reader, actor, record, asked, once, request_id=request_id, trace_id=trace_id, pinned=pinned
                )
                items.append((run_id, made.command))
            except Error as refused:
                items.append((run_id, refused))
        return items, [record.run.spec for record in records.values()]

    async def _flow(
        self,
        actor: Actor,
        project: Project,
        record: Record,
        payload: dict[str, Any],
        asked: Replay,
        *,
        request_id: str | None,
        trace_id: str,
    ) -> Submit:
        spec, latest = record.run.spec, asked.version == "latest"
        if asked.from_checkpoint is not None:
            raise InvalidRequest.at("from_checkpoint", "is not for runs of workflows: they have no checkpoints")
        if asked.from_failed and (latest or asked.payload is not None or asked.payload_patch is not None):
            raise InvalidRequest.at("from_failed", "takes over results: send no payload, and the version same")
        order = WorkflowOrder(
            payload=payload,
            tags=spec.tags,
            metadata=spec.metadata,
            idempotency_key=asked.idempotency_key,
            debug_mode=asked.debug_mode,
            replay_of=spec.run_id,
            replay_version=asked.version,
        )
        return await self._flows.replays.command(
            actor,
            project,
            record,
            order,
            latest=latest,
            from_failed=asked.from_failed,
            request_id=request_id,
            trace_id=trace_id,
        )

    async def _job(self, actor: Actor, spec: Spec, version: str, pinned: dict[str, Job]) -> Job:
        """Return the job of a run, in the run's own version or in its newest."""
        if spec.job_id is None:
            raise Conflict(f"a run of the kind {spec.kind} is not replayed; `:retry` its thread", code="runs.not_a_job")
        job = await self._jobs.directory.find(actor, spec.job_id, None)
        if version == "latest" or spec.job_version_id is None:
            return job
        if spec.job_version_id not in pinned:
            pinned[spec.job_version_id] = await self._jobs.at_version(actor, job, spec.job_version_id)
        then = pinned[spec.job_version_id]
        # A job that is disabled now starts nothing, whatever its version was.
        return replace(then, definition=replace(then.definition, enabled=job.definition.enabled))

    async def _continued(self, command: Submit, state: Any) -> Submit:
        """Return a submit whose run begins with a checkpoint, as its first."""
        spec = command.spec
        value, described = await self._values.pack(
            spec.project_id, spec.run_id, "checkpoint", "1", state, {"source": SOURCE}
        )
        saved = draft("checkpoint.saved", CheckpointSaved(1, SOURCE, described), "checkpoint 1", actor="system:replay")
        return replace(command, values=(value,), drafts=(saved,))


def new_payload(record: Record, payload: dict[str, Any], asked: Replay) -> dict[str, Any]:
    """Return the payload of a run that does an ended one again: its own, another, or a patched one (RFC 7396).

    Raises `Conflict` for a run that has not ended, and for a completed one without `force`.
    """
    run = record.run
    # With a key the commit looks first whether the key has made the replay already.
    gone = record.dead_letter_left_at is not None and asked.idempotency_key is None
    if asked.dead_letter and (run.dead_lettered_at is None or gone):
        raise Conflict("the run is not in the dead letter queue", code="runs.not_dead_lettered")
    if not run.terminal:
        raise Conflict(f"the run is {run.state}; only a run that has ended can be replayed", code="runs.not_ended")
    if run.state == "completed" and not asked.force:
        raise Conflict("the run completed; send force: true to replay it all the same", code="runs.completed")
    if asked.payload is not None and asked.payload_patch is not None:
        raise InvalidRequest.at("payload_patch", "send payload or payload_patch, not both")
    if asked.payload is not None:
        return asked.payload
    if asked.payload_patch is not None:
        patched: dict[str, Any] = merge_patch(payload, asked.payload_patch)
        return patched
    return payload


def replay_order(spec: Spec, payload: dict[str, Any], asked: Replay) -> Order:
    """Return the order of a run of a job that does another again."""
    if asked.from_failed:
        raise InvalidRequest.at("from_failed", "is only for runs of workflows")
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
        debug_mode=asked.debug_mode,
        replay_of=spec.run_id,
        replay_version=asked.version,
        from_checkpoint=asked.from_checkpoint,
        idempotency_key=asked.idempotency_key,
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
