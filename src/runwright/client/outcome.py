"""How an execution ended, as values: `run_handler` returns one of these."""

from typing import Any

import msgspec

from runwright.client.errors import On, StopKind


class Completed(msgspec.Struct, frozen=True):
    """The handler returned; `result` is JSON."""

    result: Any = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The handler raised, or could not be called. `retry_after_s` is what it asked to wait, if it did.

    `error_class` is the qualified name of the exception; `code` a stable code where Runwright itself is the one that
    complains; `traceback` the tail of the stack, for people.
    """

    error_class: str
    message: str
    retryable: bool = True
    retry_after_s: float | None = None
    code: str | None = None
    traceback: str = ""


class Parked(msgspec.Struct, frozen=True):
    """The handler sleeps until `wake_at` (µs since the epoch), or waits at most until then; it needs no worker before.

    `on`, `key` and `name` say for what, as `Park` does.
    """

    wake_at: int | None
    on: On = "timer"
    key: str = ""
    name: str = ""


class Spawned(msgspec.Struct, frozen=True):
    """A child that a handler spawned; `result` is there if its end was waited for."""

    run_id: str
    result: dict[str, Any] | None = None


class Stopped(msgspec.Struct, frozen=True):
    """The handler stopped, as it was asked to."""

    kind: StopKind


Outcome = Completed | Failed | Parked | Stopped
