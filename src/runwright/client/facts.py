"""What both contexts offer that never waits, and how they read what a handler gives them."""

import math
from collections.abc import Mapping
from typing import Any

from runwright.client.errors import StopKind
from runwright.client.fields import Level
from runwright.client.guard import Guard
from runwright.client.json_values import lenient_copy
from runwright.client.session import Draft, Session

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
        shown = round(min(max(number(percent, "A percentage"), 0.0), 100.0), 2)
        self._emit("run.progress", {**data, "percent": shown, "message": str(message)}, "info", message)

    def stream(self, chunk: str, stream_id: str = "default", done: bool = False) -> None:
        """Send a piece of text to whoever follows the run; neighbouring pieces may arrive as one."""
        data = {"chunk": text(chunk, "A chunk", empty=True), "stream_id": text(stream_id, "A stream's id")}
        self._emit("stream.chunk", {**data, "done": bool(done)}, "info", "")

    def usage(
        self, provider: str, model: str, *, prompt_tokens: int = 0, completion_tokens: int = 0, cost_microusd: int = 0
    ) -> None:
        """Tell what a call of a model used; the cost is in millionths of a US dollar."""
        counts = {
            "prompt_tokens": count(prompt_tokens),
            "completion_tokens": count(completion_tokens),
            "total_tokens": prompt_tokens + completion_tokens,
            "cost_microusd": count(cost_microusd),
        }
        named = {"provider": text(provider, "A provider"), "model": text(model, "A model")}
        self._emit("usage.reported", {**named, **counts}, "info", f"{model}: {counts['total_tokens']} tokens")

    def tool_call(
        self, name: str, input: Any = None, output: Any = None, *, duration_ms: int = 0, status: str = "completed"
    ) -> None:
        """Tell that the handler called a tool, with what, and what came of it."""
        data = {"tool_name": text(name, "A tool's name"), "input": input, "output": output, "status": str(status)}
        self._emit("tool.called", {**data, "duration_ms": count(duration_ms)}, "info", f"{name}: {status}")

    def _emit(self, type: str, data: dict[str, Any], level: Level, message: str) -> None:
        self._guard.heed_stop(once=True)
        self._session.emit(Draft(type, lenient_copy(data), level, str(message)))


def number(value: object, what: str) -> float:
    """Return a finite number, or raise `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what} is a finite number, not {value!r}.")
    return float(value)


def count(value: object) -> int:
    """Return a whole number from 0 on, or raise `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"A count is a whole number from 0 on, not {value!r}.")
    return value


def text(value: object, what: str, *, empty: bool = False) -> str:
    """Return a text, or raise `ValueError`."""
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{what} is a text, not {value!r:.200}.")
    return value
