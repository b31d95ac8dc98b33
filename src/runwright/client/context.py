"""The durable context: what a handler is given to do its work with."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Unpack

from runwright.client.errors import ChildFailed, NotJson, Park, StepOutcomeUnknown, StepResultNotJson, StopKind
from runwright.client.fields import Level, SpawnOptions
from runwright.client.guard import Guard
from runwright.client.host import Waits
from runwright.client.json_values import json_copy, lenient_copy
from runwright.client.outcome import Spawned
from runwright.client.session import Child, Draft, Session, Value
from runwright.client.steps import (
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

LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")


class Checkpoint:
    """The checkpoint saved last: its number (0 for none) and its state."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.sequence = max(map(int, kept)) if kept else 0
        self.state: Any = kept.get(str(self.sequence))


class Facts:
    """What both contexts offer that never waits: who the run is, and the records that it emits."""

    def __init__(self, session: Session, guard: Guard, checkpoint: Checkpoint) -> None:
        self._session = session
        self._guard = guard
        self._checkpoint = checkpoint

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._session.run_id

    @property
    def job(self) -> str:
        """The slug of the run's job."""
        return self._session.job

    @property
    def attempt(self) -> int:
        """1 for the first attempt; grows with each retry."""
        return self._session.attempt

    @property
    def lease_epoch(self) -> int:
        """Grows with each lease, so also when a sleeping or resumed run goes on."""
        return self._session.lease_epoch

    @property
    def metadata(self) -> Mapping[str, str]:
        """The run's metadata."""
        return self._session.metadata

    @property
    def tags(self) -> Mapping[str, str]:
        """The run's tags."""
        return self._session.tags

    @property
    def env(self) -> Mapping[str, str]:
        """The variables of the job's environment, as they were when the attempt began."""
        return self._session.env

    def secret(self, name: str) -> str:
        """Return a secret of the project or of the job's environment, as it was when the attempt began.

        Raises `LookupError` for a name that the run was not given. Whatever the run writes, the value is taken out.
        """
        try:
            return self._session.secrets[name]
        except KeyError:
            raise LookupError(f"The run was given no secret {name!r}: make it, or name its environment.") from None

    @property
    def idempotency_key(self) -> str:
        """The same text in every attempt of this run: the key that it was triggered with, else its id."""
        return self._session.idempotency_key or self._session.run_id

    @property
    def last_checkpoint(self) -> Any:
        """The state saved last, by this attempt or an earlier one; None if there is none."""
        return self._checkpoint.state

    @property
    def stop_requested(self) -> StopKind | None:
        """What the handler was asked to do: "cancel", "restart" or "pause"; None while nothing was asked."""
        return self._guard.stop.requested

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the handler to stop. What it returns then still counts as its result."""
        return self._guard.stop.requested is not None

    def log(self, message: str, level: Level = "info", **data: Any) -> None:
        """Write a line into the run's log; `data` that is not JSON is written as text."""
        if level not in LEVELS:
            raise ValueError(f"A level is one of {', '.join(LEVELS)}, not {level!r}.")
        self._emit("log", data, level, message)

    def progress(self, percent: float, message: str = "", **data: Any) -> None:
        """Tell how far the work is: 0 to 100; what is outside is taken as the nearer end."""
        shown = round(min(max(_number(percent, "A percentage"), 0.0), 100.0), 2)
        self._emit("run.progress", {**data, "percent": shown, "message": str(message)}, "info", message)

    def stream(self, chunk: str, stream_id: str = "default", done: bool = False) -> None:
        """Send a piece of text to whoever follows the run; neighbouring pieces may arrive as one."""
        data = {"chunk": _text(chunk, "A chunk", empty=True), "stream_id": _text(stream_id, "A stream's id")}
        self._emit("stream.chunk", {**data, "done": bool(done)}, "info", "")

    def usage(
        self, provider: str, model: str, *, prompt_tokens: int = 0, completion_tokens: int = 0, cost_microusd: int = 0
    ) -> None:
        """Tell what a call of a model used; the cost is in millionths of a US dollar."""
        counts = {
            "prompt_tokens": _count(prompt_tokens),
            "completion_tokens": _count(completion_tokens),
            "total_tokens": prompt_tokens + completion_tokens,
            "cost_microusd": _count(cost_microusd),
        }
        named = {"provider": _text(provider, "A provider"), "model": _text(model, "A model")}
        self._emit("usage.reported", {**named, **counts}, "info", f"{model}: {counts['total_tokens']} tokens")

    def tool_call(
        self, name: str, input: Any = None, output: Any = None, *, duration_ms: int = 0, status: str = "completed"
    ) -> None:
        """Tell that the handler called a tool, with what, and what came of it."""
        data = {"tool_name": _text(name, "A tool's name"), "input": input, "output": output, "status": str(status)}
        self._emit("tool.called", {**data, "duration_ms": _count(duration_ms)}, "info", f"{name}: {status}")

    def _emit(self, type: str, data: dict[str, Any], level: Level, message: str) -> None:
        self._guard.heed_stop(once=True)
        self._session.emit(Draft(type, lenient_copy(data), level, str(message)))


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
        sleep_us = round(_number(seconds, "A sleep's length") * 1_000_000)
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
        name = self._steps.next_key(f"{EVENT}{_text(key, 'The key of an event')}")
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
        name = self._steps.next_key(f"{SPAWN}{_text(job, 'The slug of a job')}")
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

    def _until(self, timeout_s: float | None) -> int | None:
        if timeout_s is None:
            return None
        return self._session.now() + round(_number(timeout_s, "A time limit") * 1_000_000)

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
        draft = Draft("output.saved", {"output_key": _text(key, "An output's key")}, "info", f"output {key}")
        await self._waits.save([draft], [Value("output", key, json_copy(value), schema)])

    async def state(self, key: str, default: Any = None) -> Any:
        """Return what the run keeps under a key, kept by this attempt or an earlier one; `default` where nothing is."""
        self._guard.heed_stop(once=True)
        return (await self._state()).get(_text(key, "A state's key"), default)

    async def set_state(self, key: str, value: Any) -> None:
        """Keep a JSON value under a key, durable on return, for later attempts and for operators to see."""
        self._guard.heed_stop(once=True)
        kept, copy = await self._state(), json_copy(value)
        draft = Draft("state.set", {"state_key": _text(key, "A state's key")}, "debug", f"state {key}")
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

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add to the run's metadata, durable on return; `metadata` shows it in later attempts."""
        self._guard.heed_stop(once=True)
        texts = {name: _text(value, "An annotation", empty=True) for name, value in annotations.items()}
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


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what} is a finite number, not {value!r}.")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"A count is a whole number from 0 on, not {value!r}.")
    return value


def _text(value: object, what: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{what} is a text, not {value!r:.200}.")
    return value
