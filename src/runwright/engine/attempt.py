"""One attempt of a run in this process: what its executor may do, and how its ending is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from runwright import ids
from runwright.clock import Clock
from runwright.domain import outcome as o
from runwright.domain.approval import ApprovalRequest, ask
from runwright.domain.commands import Finish, Submit
from runwright.domain.events import Draft
from runwright.domain.lane import Lane
from runwright.domain.redaction import Redactor
from runwright.domain.run import Run, StopKind, Wait
from runwright.domain.secrets import Provision
from runwright.engine.captures import Way, captured
from runwright.engine.carrying import Carried
from runwright.engine.commit import Commit
from runwright.engine.emitter import RETRY_S, Emitter, Note, Packed
from runwright.engine.packing import Kept, Packer, Saving
from runwright.engine.reach import Reach
from runwright.engine.requests import Spawn
from runwright.engine.schema import JobSchemas
from runwright.engine.values import Values, encode
from runwright.errors import Error, Internal, NotFound, Overtaken, StoreError, StoreUnavailable
from runwright.store.base import Store
from runwright.telemetry import report


class Executor(Protocol):
    """A way of running: it executes an attempt and returns how it ended."""

    @property
    def name(self) -> str:
        """What its runs say in `Spec.executor`."""
        ...

    def serves(self, lane: Lane) -> bool:
        """Tell whether it can run what waits in this lane; always the same answer."""
        ...

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Run to the end. Raises `AttemptLost` when the lease is over, and `CancelledError` when cancelled."""
        ...


class AttemptLost(Exception):
    """Say that the lease of this attempt is over: whatever it still does has no effect in the store."""


class Attempt:
    """A leased run in the hands of an executor. `on_stop` is called once for each stop request that comes in."""

    def __init__(
        self,
        run: Run,
        payload: bytes | None,
        commit: Commit,
        store: Store,
        emitter: Emitter,
        values: Values,
        schemas: JobSchemas,
        clock: Clock,
        reach: Reach,
    ) -> None:
        self.run = run
        self.debug = run.debug_mode
        self.reach = reach
        self.clock = clock
        self.on_stop: Callable[[StopKind], None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.released = False
        self.turn = asyncio.Lock()
        self.received: int | None = 0
        self.place = run.place
        self._sealed_payload = payload
        self._commit = commit
        self._store = store
        self._emitter = emitter
        self._values = values
        self._schemas = schemas
        self._lost: Error | None = None
        self._stop: StopKind | None = run.stop
        self._buffer = emitter.buffer(run, self.lose)
        self._packer = Packer(values, emitter, self._buffer)
        self.carried = Carried(self._buffer, values, store, emitter.redactors)

    def payload(self) -> Any:
        """Return the payload, exact."""
        spec = self.run.spec
        return self._values.payload(spec, self._sealed_payload)

    @property
    def _redactor(self) -> Redactor:
        """Return who hides the secrets of the run's project, as they are known at this moment."""
        return self._emitter.redactors.of(self.run.spec.project_id)

    async def provision(self) -> Provision:
        """Return the secrets and variables of the attempt. Raises `NotFound` where its environment is gone."""
        return await self._values.provision(self.run)

    async def up_to_date(self) -> None:
        """Know the secrets that whoever works at the attempt elsewhere may have been given meanwhile."""
        await self._values.ensure([self.run.spec.project_id])

    def take_note(self, run: Run) -> None:
        """Hear how the run stands now, under the same lease; a new stop request is passed on to the executor."""
        self.run = run
        if run.stop is not None and run.stop != self._stop:
            self.stop(run.stop)

    def emit(self, note: Note) -> None:
        """Append a record soon; on the event loop's thread only."""
        self._check()
        self._emitter.emit(self._buffer, note)

    def capture(self, way: Way, head: Mapping[str, Any], body: bytes, hide: str = "") -> None:
        """Record what is handed over or comes back, if the attempt began in debug mode."""
        if self.debug:
            self._check()
            self._emitter.keep(self._buffer, captured(self._redactor, way, self.run.attempt, head, body, hide))

    async def save(
        self, notes: Sequence[Note], values: Sequence[Kept] = (), removed: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Append records, store values and forget others, durable when it returns.

        Raises `AttemptLost`, and `InvalidRequest` for what `pack` refuses.
        """
        self._check()
        await self.append(await self.pack([Saving(notes, values, removed)]))

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add to the run's metadata, durable when it returns. Raises `AttemptLost`, and `InvalidRequest`."""
        self._check()
        await self.append(await self.pack([Saving((), (), (), annotations)]))

    async def pack(self, savings: Sequence[Saving]) -> Packed:
        """Return savings as they are stored: redacted, sealed, large values as artifacts.

        An event that names a value carries its digest and preview under `value`; an output's note is its JSON Schema.
        Raises `InvalidRequest` for an event that no job may write, a value that is not JSON, and an output that is not
        what its schema says.
        """
        return await self._packer.pack(self.run, savings, self.emit)

    async def append(self, packed: Packed) -> Run:
        """Append what is packed, durable when it returns; return the run with that.

        Raises `AttemptLost`, and `Overtaken` as `Append` says.
        """
        try:
            return await self._emitter.save(self._buffer, packed)
        except Overtaken:
            raise
        except Error as refusal:
            self.lose(refusal)
            raise AttemptLost from refusal

    def wrote(self, run: Run) -> None:
        """Hear how the run stands after a write that no other came between."""
        self.place = run.place
        self.carried.confirm(run)

    async def stored(self, kind: str, *, look: bool = False) -> dict[str, Any]:
        """Return the values of a kind that the run has kept, by key, of checkpoints the last one.

        The first lease has none from before it, and asks nobody, unless it is to `look` for its own or goes on from
        the checkpoint of another run.
        """
        spec = self.run.spec
        if self.run.lease_epoch == 1 and spec.from_checkpoint is None and not look:
            return {}
        found = await self._store.values(spec.run_id, kind)
        if kind == "checkpoint" and found:
            found = [max(found, key=lambda value: int(value.key))]
        return {value.key: await self._values.unpack(spec.project_id, value) for value in found}

    async def stored_bytes(self, kind: str, key: str) -> bytes:
        """Return bytes that the run has kept. Raises `NotFound`."""
        spec = self.run.spec
        for value in await self._store.values(spec.run_id, kind):
            if value.key == key:
                return await self._values.unpack_bytes(spec.project_id, value)
        raise NotFound("value", key)

    def completed(self, result: Any) -> o.Completed:
        """Return the outcome of finished work; a result that is no JSON object is wrapped as `{"value": …}`."""
        if result is None:
            return o.Completed()
        spec = self.run.spec
        encoded = encode(result if isinstance(result, dict) else {"value": result})
        sealed = self._values.seal(spec.project_id, spec.run_id, "result", encoded)
        return o.Completed(self._values.ref(spec.project_id, encoded), sealed)

    def request_approval(self, asked: ApprovalRequest) -> o.Parked:
        """Return the outcome that parks the run until people have decided; its log then tells what (`checkpoints`).

        Raises `TooLarge`, and `msgspec.ValidationError` for what is out of bounds.
        """
        made = ask(asked, self._redactor, ids.new_id("apr", self.clock.now()))
        return o.Parked(None, Wait("approval", made.checkpoint_id), approval=made)

    def failed(
        self,
        error_class: str,
        message: str,
        *,
        retryable: bool = True,
        code: str | None = None,
        retry_after_s: float | None = None,
        traceback: str = "",
        reason: str = "error",
    ) -> o.Failed:
        """Return the outcome of failed work, its texts redacted."""
        text = self._redactor.text
        return o.Failed(
            error_class=error_class,
            message=text(message),
            retryable=retryable,
            code=code,
            retry_after_ms=None if retry_after_s is None else int(retry_after_s * 1000),
            traceback=text(traceback) if traceback else None,
            reason=reason,
        )

    def stop(self, kind: StopKind) -> None:
        """Pass a stop request on to the executor."""
        self._stop = kind
        if self.on_stop is not None:
            self.on_stop(kind)

    @property
    def stop_requested(self) -> StopKind | None:
        """Return what the attempt was asked to do, if anything."""
        return self._stop

    def lose(self, refusal: Error) -> None:
        """Give the attempt up: its lease is over, or its records cannot be stored."""
        if self._lost is None:
            self._lost = refusal
            if self.task is not None:
                self.task.cancel()

    @property
    def lost(self) -> bool:
        """Tell whether the attempt was given up."""
        return self._lost is not None

    def _check(self) -> None:
        if self._lost is not None:
            raise AttemptLost from self._lost

    async def execute(self, executor: Executor) -> o.Outcome:
        """Run the executor within the run's time-out and return the outcome, whatever happened."""
        timeout_s = self.run.spec.timeout_s
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await executor.execute(self)
        except TimeoutError:
            if not limit.expired():
                return self.failed("TimeoutError", "something that the executor waited for took too long")
            return self.failed("Timeout", f"the attempt took longer than {timeout_s:g} s", reason="timeout")
        except asyncio.CancelledError:
            if self.released and not self.lost:
                return o.Released()
            raise
        except AttemptLost:
            raise
        except Error as refusal:
            reason = "system" if isinstance(refusal, StoreError | Internal) else "error"
            failed, code = type(refusal).__name__, refusal.code
            return self.failed(failed, refusal.detail, retryable=refusal.retryable, code=code, reason=reason)
        except Exception as bug:  # noqa: BLE001 - an executor's fault ends the attempt, never vanishes with it
            report("attempt.broken", run_id=self.run.run_id, error=self._redactor.text(repr(bug)))
            return self.failed(type(bug).__name__, str(bug) or repr(bug))

    async def finish(
        self,
        outcome: o.Outcome,
        draw: float,
        patience_s: float,
        after: tuple[int, int] | None = None,
        child: tuple[Submit, Draft] | None = None,
    ) -> Any:
        """Write the outcome; while the store is not available, try again as long as the lease may live.

        Raises `Overtaken` where the run does not stand at `after`: nothing was written, `go_on` before the next try.
        """
        if self.run.spec.checks_result and isinstance(outcome, o.Completed):
            outcome = await self._schemas.judged(self.run.spec, outcome, self._values, self.failed)
        drafts = self._emitter.close(self._buffer)
        wiped = self.carried.left(self.run)  # its streams were closed with the last records
        values = () if wiped is None else (wiped,)
        if child is not None:
            drafts = (*drafts, child[1])
        command = Finish(self.run.run_id, self.run.lease_epoch, outcome, draw, drafts, values, after)
        request = command if child is None else Spawn(submit=child[0], by=command)
        try:
            return await self._write(request, self.clock.monotonic() + patience_s)
        finally:
            self._buffer.forget()

    async def _write(self, request: Finish | Spawn, give_up: float) -> Any:
        while True:
            try:
                return await self._commit.apply(request)
            except StoreUnavailable:
                if self.clock.monotonic() >= give_up:
                    raise
                await self.clock.sleep(RETRY_S)
