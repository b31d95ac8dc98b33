"""Stop, restart and resume runs, for a caller who may."""

from __future__ import annotations

from runwright.domain.commands import Restart, Resume, Stop
from runwright.domain.presets import PROCESS
from runwright.domain.run import Run, StopKind
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.commit import Commit
from runwright.engine.reader import Reader
from runwright.engine.redactors import Redactors
from runwright.engine.stream import Hub
from runwright.errors import InvalidRequest
from runwright.store.base import Record

PATIENCE_S = 2.0


class Control:
    """The verbs of a run that exists. Each answers with the run as it then stands."""

    def __init__(self, commit: Commit, hub: Hub, redactors: Redactors) -> None:
        self._commit = commit
        self._hub = hub
        self._redactors = redactors

    async def stop(
        self,
        reader: Reader,
        actor: Actor,
        run_id: str,
        kind: StopKind,
        *,
        reason: str | None,
        request_id: str | None,
        last_seen_seq: int | None = None,
    ) -> Record:
        """Cancel or pause a run; answers when its executing side confirmed, or after two seconds.

        Raises `NotFound`, and `InvalidTransition` for a run that has ended.
        """
        spec = (await reader.run(run_id)).run.spec
        told = None if reason is None else self._redactors.of(spec.project_id).text(reason)
        cause = Cause(actor.label, told, request_id, last_seen_seq)
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
