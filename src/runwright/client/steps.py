"""The memory of steps: which ones earlier leases finished, started, or never reached.

A step's key is its name; the second use of a name in one execution is `name#2`, and so on. A handler must therefore
call its steps in the same order every time it is given the same results. Kept values, by key:

- `{"started": <lease epoch>, "effect": "idempotent"|"unsafe"}` once a step with an effect is about to run,
- `{"result": <JSON>}` once a step is finished,
- `{"wake_at": <µs>}` for a sleep (keys `ctx.sleep`, `ctx.sleep#2`, …; the prefix `ctx.` is ours),
- `{"result": <JSON>}` once what was waited for has come (keys `ctx.event:<key>` and
  `ctx.spawn:<job>`), written by the server; the id of that child is kept under `ctx.spawn:<job>.run`, that of a
  continuation under `ctx.continue`.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from runwright.client.session import Value, ValueKind

Effect = Literal["none", "idempotent", "unsafe"]
EFFECTS: tuple[Effect, ...] = ("none", "idempotent", "unsafe")
NAME_MAX = 200
SLEEP = "ctx.sleep"
EVENT = "ctx.event:"
SPAWN = "ctx.spawn:"
CONTINUE = "ctx.continue"


class StepRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a step, or of a sleep."""

    result: Any = msgspec.UNSET
    started: int | None = None
    effect: Effect = "none"
    wake_at: int | None = None

    @property
    def finished(self) -> bool:
        """Tell whether the step's result is known."""
        return self.result is not msgspec.UNSET


NOTHING = StepRecord()


class Steps:
    """Find what earlier leases of this run left of each step, and name the steps of this one."""

    def __init__(self, read: Callable[[ValueKind], Awaitable[dict[str, Any]]]) -> None:
        self._read = read
        self._uses: dict[str, int] = {}
        self._kept: dict[str, Any] | None = None

    def next_key(self, name: str) -> str:
        """Return the key of the next use of `name` in this execution."""
        self._uses[name] = count = self._uses.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    async def find(self, key: str) -> StepRecord:
        """Return what is kept under `key`; `NOTHING` where no lease reached it. Reads from the host once."""
        if self._kept is None:
            self._kept = await self._read("step")
        kept = self._kept.get(key)
        return NOTHING if kept is None else msgspec.convert(kept, StepRecord)


def checked_name(name: object) -> str:
    """Return a name that a handler gave a step, or raise `ValueError`."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX or name.startswith("ctx.") or "#" in name:
        raise ValueError(
            f"A step's name is a text of 1 to {NAME_MAX} characters without '#' that does not begin with 'ctx.', "
            f"not {name!r:.220}."
        )
    return name


def checked_effect(effect: object) -> Effect:
    """Return an effect that a handler named, or raise `ValueError`."""
    for known in EFFECTS:
        if effect == known:
            return known
    raise ValueError(f"A step's effect is one of {', '.join(EFFECTS)}, not {effect!r}.")


def started_value(key: str, lease_epoch: int, effect: Effect) -> Value:
    """Return the value that says that a step is about to run."""
    return Value("step", key, {"started": lease_epoch, "effect": effect})


def finished_value(key: str, result: Any) -> Value:
    """Return the value that says what a step returned."""
    return Value("step", key, {"result": result})


def sleep_value(key: str, wake_at: int) -> Value:
    """Return the value that says when a sleep is over."""
    return Value("step", key, {"wake_at": wake_at})


def takes_idempotency_key(fn: Callable[..., Any]) -> bool:
    """Tell whether `fn` names a parameter `idempotency_key` that can be given by keyword."""
    try:
        parameter = inspect.signature(fn).parameters.get("idempotency_key")
    except (TypeError, ValueError):  # some built-in functions do not tell
        return False
    return parameter is not None and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
