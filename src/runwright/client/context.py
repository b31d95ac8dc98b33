"""The durable context: what a handler is given to do its work with."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Unpack

from runwright.client.errors import ChildFailed, NotJson, Park, StepOutcomeUnknown, StepResultNotJson
from runwright.client.facts import Checkpoint, Facts, number, text
from runwright.client.fields import SpawnOptions
from runwright.client.guard import Guard
from runwright.client.host import Waits
from runwright.client.json_values import json_copy
from runwright.client.outcome import Spawned
from runwright.client.session import Child, Draft, Session, Value
from runwright.client.steps import (
    CONTINUE,
    EVENT,
    NOTHING,
    SLEEP,
    SPAWN,
    Effect,
    StepRecord,
    Steps,
    checked_effect,
    checked_name,
    finished_value,
    sleep_value,
    started_value,
    takes_idempotency_key,
)


class Context(Facts):
    """The context of an `async def` handler.

    Once somebody asked for a stop, the next call raises `Stop`, and an await in the handler is cancelled.
    """

    def __init__(self, session: Session, guard: Guard, checkpoint: Checkpoint, waits: Waits) -> None:
        super().__init__(session, guard, checkpoint)
        self._waits = waits
        self._steps = Steps(waits.values)
        self._kept: dict[str, Any] | None = None

    async def step(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        effect: Effect = "none",
        thread: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call `fn` and keep its result; later attempts get the result and do not call it again.

        The result must be JSON and is returned as JSON gives it back, the first time too. `effect` says what a crash
        in the middle means: "none", run it again; "idempotent", run it again with the same idempotency key; "unsafe",
        do not: raise `StepOutcomeUnknown` (unless the job has `rerun_unknown_steps`). `fn` may be sync or async; it is
        given `idempotency_key` if it names such a parameter. `thread=True` calls a sync `fn` in a thread.
        """
        self._guard.heed_stop()
        key = self._steps.next_key(checked_name(name))
        record = await self._steps.find(key)
        if record.finished:
            data = {"name": key, "effect": record.effect, "duration_ms": 0, "reused": True}
            self._session.emit(Draft("step.completed", data, "debug", f"{key}: kept from an earlier attempt"))
            return record.result
        effect = checked_effect(effect)
        idempotency_key = f"{self.run_id}:{key}"
        if record.started is not None and "unsafe" in (record.effect, effect):
            await self._outcome_unknown(key, idempotency_key)
        if takes_idempotency_key(fn):
            kwargs["idempotency_key"] = idempotency_key
        with nullcontext() if effect == "none" else self._guard.taking_effect():
            if effect != "none":
                started = {"name": key, "effect": effect, "idempotency_key": idempotency_key}
                draft = Draft("step.started", started, "info", f"{key}: started")
                await self._waits.save([draft], [started_value(key, self.lease_epoch, effect)])
            return await self._run_step(key, effect, _bound(fn, args, kwargs), thread)

    async def sleep(self, seconds: float) -> None:
        """Sleep durably: the handler is ended, holds no worker, and is called again when the time has come.

        Steps before it are not repeated, and a sleep that has passed returns at once.
        """
        sleep_us = round(number(seconds, "A sleep's length") * 1_000_000)
        await self._sleep(lambda now: now + sleep_us)

    async def sleep_until(self, at: datetime) -> None:
        """Sleep durably until an instant, as `sleep` does; `at` must have a time zone."""
        if at.utcoffset() is None:
            raise ValueError(f"sleep_until takes a datetime with a time zone, not {at!r}.")
        wake_at = round(at.timestamp() * 1_000_000)
        await self._sleep(lambda now: wake_at)

    async def wait_for_event(self, key: str, *, timeout_s: float | None = 3600) -> dict[str, Any]:
        """Wait durably for an event of this key and return its payload: as `sleep`, without a worker.

        One that was sent in the last 24 hours and that nobody waited for counts. The second wait for a key is for a
        second event. A run whose event does not come within `timeout_s` (None: for ever) fails.
        """
        self._guard.heed_stop()
        name = self._steps.next_key(f"{EVENT}{text(key, 'The key of an event')}")
        kept = await self._steps.find(name)
        if kept.finished:
            payload: dict[str, Any] = kept.result
            return payload
        raise Park(self._until(timeout_s), "event", key, name)

    async def spawn(
        self,
        job: str,
        payload: Mapping[str, Any] | None = None,
        *,
        await_completion: bool = False,
        timeout_s: float | None = None,
        **options: Unpack[SpawnOptions],
    ) -> Spawned:
        """Start a run of another job, once in all attempts, as a child of this one: a cancel of this reaches it.

        With `await_completion` wait for its end, as `wait_for_event` does, at most `timeout_s`, and return it with its
        result; a child that did not complete raises `ChildFailed`.
        """
        self._guard.heed_stop()
        name = self._steps.next_key(f"{SPAWN}{text(job, 'The slug of a job')}")
        end = await self._steps.find(name) if await_completion else NOTHING
        if end.finished:
            return _ended(end.result)
        run_id = await self._child(job, payload, name, options)
        if not await_completion:
            return Spawned(run_id)
        raise Park(self._until(timeout_s), "child", run_id, name)

    async def _child(self, job: str, payload: Mapping[str, Any] | None, name: str, options: SpawnOptions) -> str:
        """Return the id of a child, made by this attempt or an earlier one."""
        kept = await self._steps.find(f"{name}.run")
        if kept.finished:
            return str(kept.result)
        copy = json_copy(payload or {})
        run_id = await self._waits.spawn(Child(job, copy, f"{self.run_id}:{name}", **options))
        await self._waits.save([], [finished_value(f"{name}.run", run_id)])
        return run_id

    async def continue_run(self, payload: Mapping[str, Any] | None = None) -> Spawned:
        """Start the run of the same job that goes on where this one ends, once in all attempts.

        Without a payload it is given this one's. This run is not ended by it: the handler returns.
        """
        self._guard.heed_stop()
        name = self._steps.next_key(CONTINUE)
        kept = await self._steps.find(name)
        if kept.finished:
            return Spawned(str(kept.result))
        run_id = await self._waits.go_on(None if payload is None else json_copy(payload), f"{self.run_id}:{name}")
        await self._waits.save([], [finished_value(name, run_id)])
        return Spawned(run_id)

    def _until(self, timeout_s: float | None) -> int | None:
        if timeout_s is None:
            return None
        return self._session.now() + round(number(timeout_s, "A time limit") * 1_000_000)

    async def checkpoint(self, state: dict[str, Any]) -> None:
        """Save the handler's state, durable on return; later attempts find it in `last_checkpoint`."""
        self._guard.heed_stop(once=True)
        copy = json_copy(state)
        if not isinstance(copy, dict):
            raise TypeError(f"A checkpoint's state is a dict, not {type(state).__name__}.")
        sequence = self._checkpoint.sequence + 1
        draft = Draft("checkpoint.saved", {"sequence": sequence, "source": "sdk"}, "info", f"checkpoint {sequence}")
        await self._waits.save([draft], [Value("checkpoint", str(sequence), copy)])
        self._checkpoint.sequence, self._checkpoint.state = sequence, copy

    async def output(self, key: str, value: Any, schema: dict[str, Any] | None = None) -> None:
        """Publish a named output, durable on return; a later one of the same key replaces it.

        With `schema` (JSON Schema 2020-12) the value is validated where it is stored.
        """
        self._guard.heed_stop(once=True)
        draft = Draft("output.saved", {"output_key": text(key, "An output's key")}, "info", f"output {key}")
        await self._waits.save([draft], [Value("output", key, json_copy(value), schema)])

    async def state(self, key: str, default: Any = None) -> Any:
        """Return what the run keeps under a key, kept by this attempt or an earlier one; `default` where nothing is."""
        self._guard.heed_stop(once=True)
        return (await self._state()).get(text(key, "A state's key"), default)

    async def set_state(self, key: str, value: Any) -> None:
        """Keep a JSON value under a key, durable on return, for later attempts and for operators to see."""
        self._guard.heed_stop(once=True)
        kept, copy = await self._state(), json_copy(value)
        draft = Draft("state.set", {"state_key": text(key, "A state's key")}, "debug", f"state {key}")
        await self._waits.save([draft], [Value("state", key, copy)])
        kept[key] = copy

    async def delete_state(self, key: str) -> None:
        """Forget what is kept under a key, durably; where nothing is kept, nothing happens."""
        self._guard.heed_stop(once=True)
        kept = await self._state()
        if key in kept:
            draft = Draft("state.deleted", {"state_key": key}, "debug", f"state {key} deleted")
            await self._waits.save([draft], removed=[("state", key)])
            del kept[key]

    async def memory(self, key: str, default: Any = None) -> Any:
        """Return what the job remembers under a key, kept by any of its runs; `default` where that is nothing."""
        self._guard.heed_stop(once=True)
        return await self._waits.recall(text(key, "A memory's key"), default)

    async def set_memory(self, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """Keep a JSON value for every run of the job, durable on return, for so long (None: until it is deleted).

        Of two runs that set one key the later one counts.
        """
        self._guard.heed_stop(once=True)
        lasts_s = None if ttl_s is None else number(ttl_s, "How long a value is kept")
        await self._waits.remember(text(key, "A memory's key"), json_copy(value), lasts_s)

    async def delete_memory(self, key: str) -> None:
        """Forget what the job remembers under a key, durably; where that is nothing, nothing happens."""
        self._guard.heed_stop(once=True)
        await self._waits.forget(text(key, "A memory's key"))

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add to the run's metadata, durable on return; `metadata` shows it in later attempts."""
        self._guard.heed_stop(once=True)
        texts = {name: text(value, "An annotation", empty=True) for name, value in annotations.items()}
        await self._waits.annotate(texts)

    async def _state(self) -> dict[str, Any]:
        if self._kept is None:
            self._kept = dict(await self._waits.values("state"))
        return self._kept

    async def _run_step(self, key: str, effect: Effect, fn: Callable[[], Any], thread: bool) -> Any:
        began = time.perf_counter()
        try:
            returned = await self._waits.call(fn, thread)
        except Exception as error:
            failed = {"step": key, "error_class": type(error).__name__}
            self._session.emit(Draft("log", failed, "warning", f"{key}: {type(error).__name__}"))
            raise
        duration_ms = round((time.perf_counter() - began) * 1000)
        try:
            result = json_copy(returned)
        except NotJson as wrong:
            raise StepResultNotJson(f"The result of the step {key!r} is not JSON: {wrong}.") from None
        data = {"name": key, "effect": effect, "duration_ms": duration_ms, "reused": False}
        await self._waits.save([Draft("step.completed", data, "info", f"{key}: done")], [finished_value(key, result)])
        return result

    async def _outcome_unknown(self, key: str, idempotency_key: str) -> None:
        await self._waits.save([Draft("step.unknown", {"name": key}, "warning", f"{key}: outcome unknown")])
        if not self._session.rerun_unknown_steps:
            raise StepOutcomeUnknown(key, idempotency_key)

    async def _sleep(self, wake_at_of: Callable[[int], int]) -> None:
        self._guard.heed_stop()
        key = self._steps.next_key(SLEEP)
        kept: StepRecord = await self._steps.find(key)
        now = self._session.now()
        wake_at = wake_at_of(now) if kept.wake_at is None else kept.wake_at
        if wake_at <= now:
            return
        if kept.wake_at is None:
            await self._waits.save([], [sleep_value(key, wake_at)])
        raise Park(wake_at)


def _ended(end: Mapping[str, Any]) -> Spawned:
    if end["status"] != "completed":
        raise ChildFailed(end["run_id"], end["status"], end["error_class"], end["error"])
    return Spawned(end["run_id"], end["result"])


def _bound(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any]:
    return lambda: fn(*args, **kwargs)
