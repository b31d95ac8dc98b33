"""Wait in a thread with a deadline: for the blocking client what asyncio is for the asynchronous one.

`timeout` bounds a block as `asyncio.timeout` does. No one can interrupt a thread from outside, so everything in it that
waits looks at the deadline itself: `sleep` ends there, and `HttpClient` gives up what it sends and reads.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import httpx2

from runwright.client.errors import ServerUnreachable

T = TypeVar("T")

_due: ContextVar[float | None] = ContextVar("due", default=None)
_LATE_S = 0.001
"""A connection is cut so long after the deadline: whoever looks then sees that it is over."""


@contextmanager
def timeout(timeout_s: float | None) -> Iterator[None]:
    """End the block with `TimeoutError` once `timeout_s` are over (None: never); the earliest of nested ones counts."""
    outer = _due.get()
    due = None if timeout_s is None else time.monotonic() + timeout_s
    reset = _due.set(due if outer is None else outer if due is None else min(due, outer))
    try:
        yield
    except ServerUnreachable as error:  # the deadline may be why
        _raise_if_over(error)
        raise
    finally:
        _due.reset(reset)


def sleep(seconds: float) -> None:
    """Return after so long; at the deadline raise `TimeoutError`."""
    rest_s = _rest_s()
    time.sleep(max(seconds if rest_s is None else min(seconds, rest_s), 0))
    _raise_if_over(None)


def to_thread(call: Callable[..., T], *arguments: Any) -> T:
    """Return what a call returns: nothing else waits in this thread."""
    return call(*arguments)


class HttpClient(httpx2.Client):
    """Send requests, each as long as its own limits and the deadline of the block allow."""

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send as `httpx2.Client` does; raise `TimeoutError` at the deadline, whatever the server sends meanwhile."""
        rest_s = _rest_s()
        if rest_s is None:
            return super().send(request, stream=stream, **options)
        _raise_if_over(None)
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        bounded = {name: rest_s if limit is None else min(limit, rest_s) for name, limit in limits.items()}
        request.extensions = {**request.extensions, "timeout": bounded}
        try:
            response = super().send(request, stream=True, **options)
            _cut_at_deadline(response, rest_s)
            if not stream:
                response.read()
        except httpx2.TransportError as error:
            _raise_if_over(error)
            raise
        return response


class _Watched(httpx2.SyncByteStream):
    """A body whose connection is cut when its time is up."""

    def __init__(self, stream: httpx2.SyncByteStream, watch: threading.Timer) -> None:
        self._stream = stream
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._watch.cancel()  # before the connection is used for something else
        self._stream.close()


def _cut_at_deadline(response: httpx2.Response, rest_s: float) -> None:
    # A limit on each read is none on all of them: a stream that sends a comment every 15 s would be read for ever.
    connection = response.extensions["network_stream"].get_extra_info("socket")
    watch = threading.Timer(rest_s + _LATE_S, _cut, [connection])
    watch.daemon = True
    watch.start()
    response.stream = _Watched(response.stream, watch)  # type: ignore[arg-type] # a blocking client has no other


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # the plain one: TLS would wait for the other side


def _rest_s() -> float | None:
    due = _due.get()
    return None if due is None else max(due - time.monotonic(), 0)


def _raise_if_over(cause: Exception | None) -> None:
    if _rest_s() == 0:
        raise TimeoutError from cause
