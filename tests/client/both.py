"""One suite for both clients: the blocking one in threads, behind the face of the asynchronous one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, cast

from runwright.client.api import AsyncClient
from runwright.client.sync.agent_stream import AgentStream
from runwright.client.sync.api import Client
from runwright.client.sync.pages import Pages
from runwright.client.sync.stream import EventStream

Connect = Callable[..., AsyncClient]

_END = object()


def blocking(*args: Any, **options: Any) -> AsyncClient:
    """Return a blocking client whose calls run in threads, and which is otherwise used as the asynchronous one."""
    return cast(AsyncClient, _Threaded(Client(*args, **options)))


class _Threaded:
    """An object whose methods run in threads and are awaited; lists and streams are read in threads, row by row."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._blocking, {"aclose": "close"}.get(name, name))
        if callable(found):
            return _called(found)
        return found if isinstance(found, str | int | None) else _Threaded(found)

    async def __aenter__(self) -> "_Threaded":
        return _Threaded(await asyncio.to_thread(self._blocking.__enter__))

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._blocking.__exit__, *error)

    async def __aiter__(self) -> AsyncGenerator[Any]:
        rows: Iterator[Any] = await asyncio.to_thread(iter, self._blocking)
        while (row := await asyncio.to_thread(next, rows, _END)) is not _END:
            yield row


def _called(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method as one that is awaited, unless it only makes a list or stream to be read."""
    returns = str(method.__annotations__.get("return", ""))
    if any(kind.__name__ in returns for kind in (Pages, EventStream, AgentStream)):
        return lambda *args, **options: _Threaded(method(*args, **options))
    return lambda *args, **options: asyncio.to_thread(method, *args, **options)
