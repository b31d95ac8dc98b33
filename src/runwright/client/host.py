"""What a context asks of its host, and waits for."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from runwright.client.session import Child, Draft, Key, Session, Value, ValueKind


class Waits(Protocol):
    """What a context waits for: the host, and the functions of steps. Handlers in threads wait in another way."""

    async def save(self, drafts: Sequence[Draft], values: Sequence[Value] = (), removed: Sequence[Key] = ()) -> None:
        """Append and keep durably, as `Session.save`."""

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add to the run's metadata, as `Session.annotate`."""

    async def spawn(self, child: Child) -> str:
        """Make a child of this run, as `Session.spawn`."""
        ...

    async def go_on(self, payload: dict[str, Any] | None, idempotency_key: str) -> str:
        """Make the run that continues this one, as `Session.go_on`."""
        ...

    async def recall(self, key: str, default: Any = None) -> Any:
        """Return what the job remembers, as `Session.recall`."""

    async def remember(self, key: str, value: Any, ttl_s: float | None) -> None:
        """Keep a value for every run of the job, as `Session.remember`."""

    async def forget(self, key: str) -> None:
        """Forget what the job remembers, as `Session.forget`."""

    async def values(self, kind: ValueKind) -> dict[str, Any]:
        """Return what the run has kept, as `Session.values`."""
        ...

    async def call(self, fn: Callable[[], Any], thread: bool) -> Any:
        """Call the function of a step and wait for its result."""


class OnLoop:
    """Wait on the event loop, where the handler runs."""

    def __init__(self, session: Session) -> None:
        self.save = session.save
        self.annotate = session.annotate
        self.spawn = session.spawn
        self.go_on = session.go_on
        self.recall = session.recall
        self.remember = session.remember
        self.forget = session.forget
        self.values = session.values

    async def call(self, fn: Callable[[], Any], thread: bool) -> Any:
        """Call `fn` here, or in a thread, and await what it returns if that can be awaited."""
        returned = await asyncio.to_thread(fn) if thread else fn()
        return await returned if inspect.isawaitable(returned) else returned
