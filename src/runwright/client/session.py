"""The port between a handler and its host: what an execution needs, and nothing else.

The host is the server's own worker, or a worker elsewhere that speaks REST. A host implements `Session`; everything
above it (`Context`, steps, `run_handler`) is written once.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from runwright.client.errors import StopKind
from runwright.client.fields import Level

ValueKind = Literal["step", "checkpoint", "output", "state"]

_STRENGTH: dict[StopKind, int] = {"pause": 1, "restart": 2, "cancel": 3}


class Draft(msgspec.Struct, frozen=True):
    """An event to append: its type, its JSON data, and a line for people. The host redacts, numbers and dates it."""

    type: str
    data: dict[str, Any] = {}
    level: Level = "info"
    message: str = ""


class Value(msgspec.Struct, frozen=True):
    """A working value to keep, exact: `data` is JSON. A later value of the same kind and key replaces it.

    Keys: the step's key; the checkpoint's sequence as text; the output's and the state's own. `schema` (outputs only)
    is a JSON Schema that the host validates `data` against.
    """

    kind: ValueKind
    key: str
    data: Any
    schema: dict[str, Any] | None = None


Key = tuple[ValueKind, str]


class Child(msgspec.Struct, frozen=True):
    """A run to make of a job of the same project, named by its slug; made once for each idempotency key."""

    job: str
    payload: dict[str, Any]
    idempotency_key: str
    tags: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}
    priority: int | None = None
    concurrency_key: str | None = None


class StopSignal:
    """A request to stop, made by the host and seen by the execution; every method may be called from any thread.

    A stronger request replaces a weaker one (cancel over restart over pause); nothing takes a request back.
    """

    __slots__ = ("_listeners", "_lock", "_requested")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested: StopKind | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def requested(self) -> StopKind | None:
        """Return what was asked for; None while nothing was."""
        return self._requested

    def request(self, kind: StopKind) -> None:
        """Ask the execution to stop, and tell the listeners, on this thread."""
        with self._lock:
            if self._requested is None or _STRENGTH[kind] > _STRENGTH[self._requested]:
                self._requested = kind
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` once, at the first request (at once if it was made); return what takes it off again."""
        with self._lock:
            if self._requested is None:
                self._listeners.append(listener)
                return lambda: self._forget(listener)
        listener()
        return lambda: None

    def _forget(self, listener: Callable[[], None]) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    async def wait(self) -> StopKind:
        """Return the first request, once there is one."""
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        forget = self.listen(lambda: _in_loop(loop, asked))
        try:
            await asked.wait()
        finally:
            forget()
        assert self._requested is not None
        return self._requested


def _in_loop(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    loop.call_soon_threadsafe(asked.set)


class Session(Protocol):
    """One lease of one run, as its handler's side sees it.

    `values` and `save` are awaited on the host's event loop. A host whose lease is lost raises `LeaseLost` from either.
    Cancelling an awaited `save` leaves open whether it was written; it never leaves half of it.
    """

    @property
    def run_id(self) -> str:
        """The run's id."""
        ...

    @property
    def job(self) -> str:
        """The slug of the run's job."""
        ...

    @property
    def attempt(self) -> int:
        """1, 2, …: grows with each retry."""
        ...

    @property
    def lease_epoch(self) -> int:
        """Grows with each lease; fences every write."""
        ...

    @property
    def payload(self) -> Any:
        """The payload, as JSON values."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The run's metadata."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """The run's tags."""
        ...

    @property
    def secrets(self) -> Mapping[str, str]:
        """The secrets that the attempt was given, by name."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """The variables of its environment."""
        ...

    @property
    def idempotency_key(self) -> str | None:
        """The key that the run was triggered with, if any."""
        ...

    @property
    def rerun_unknown_steps(self) -> bool:
        """Whether an unsafe step of unknown outcome runs again, as the run's job version says."""
        ...

    @property
    def stop(self) -> StopSignal:
        """The request to stop."""
        ...

    def now(self) -> int:
        """Return the time in microseconds since the epoch, as the host's clock has it."""
        ...

    def emit(self, draft: Draft) -> None:
        """Append an event soon: buffered, from any thread, never blocking."""
        ...

    async def save(self, drafts: Sequence[Draft], values: Sequence[Value] = (), removed: Sequence[Key] = ()) -> None:
        """Append events, keep values and forget others in one transaction; durable when it returns.

        What was emitted before is appended before. An event that tells of a value (the last one) comes with it.
        """
        ...

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add to the run's metadata; durable when it returns."""
        ...

    async def spawn(self, child: Child) -> str:
        """Make a child of this run and return its id; durable when it returns."""
        ...

    async def go_on(self, payload: dict[str, Any] | None, idempotency_key: str) -> str:
        """Make the run that continues this one and return its id; without a payload it is given this one's."""
        ...

    async def recall(self, key: str, default: Any = None) -> Any:
        """Return what the job remembers under a key; `default` where that is nothing."""
        ...

    async def remember(self, key: str, value: Any, ttl_s: float | None) -> None:
        """Keep a value for every run of the job; durable when it returns."""
        ...

    async def forget(self, key: str) -> None:
        """Forget what the job remembers under a key; durable when it returns."""
        ...

    async def values(self, kind: ValueKind) -> dict[str, Any]:
        """Return the values of this kind that the run has kept, by key, from earlier leases too.

        Of checkpoints the last one is enough. A host that knows of none answers `{}` without looking.
        """
        ...
