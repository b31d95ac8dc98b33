"""Serve the application over TCP until told to stop, then let everything that began end.

SIGTERM and SIGINT call `on_drain` at once (streams end, saying `retry:`), no new connection is taken, requests under
way are answered within `drain_s`, the application's lifespan ends, and `serve` returns. A second SIGINT does not wait.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

import uvicorn
import uvloop
from starlette.types import ASGIApp

from runwright.api.connection import bounded
from runwright.api.socket_connection import bounded_socket
from runwright.config import Settings
from runwright.errors import InvalidSettings

T = TypeVar("T")

_BACKLOG = 2048


def announce(address: str) -> None:
    """Print the one line that says that requests are accepted, on standard output."""
    sys.stdout.write(f"ready {address}\n")
    sys.stdout.flush()


async def serve(
    app: ASGIApp,
    settings: Settings,
    on_drain: Callable[[], None],
    *,
    on_ready: Callable[[str], None] = announce,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until a signal comes or `stop` is set; call `on_ready` once with `http://HOST:PORT`.

    Raises `InvalidSettings` when the address cannot be listened on, before the application's lifespan begins.
    """
    listener = _listen(settings.host, settings.port, settings.connection_stall_s)
    config = uvicorn.Config(
        app,
        loop="none",  # ours already runs
        http=bounded(settings),
        ws=bounded_socket(settings),
        ws_max_size=settings.socket_frame_max_bytes,
        ws_ping_interval=settings.stream_keepalive_s,
        ws_ping_timeout=settings.connection_stall_s,
        ws_per_message_deflate=False,  # every viewer of a run is sent the same bytes, encoded once
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=settings.connection_idle_s,  # type: ignore[arg-type] # goes to `call_later`
        timeout_graceful_shutdown=settings.drain_s,  # type: ignore[arg-type] # goes to `wait_for`
    )
    address = _address(settings.host, listener)
    server = _Server(config, on_drain, lambda: on_ready(address))
    stopper = None if stop is None else asyncio.create_task(_stop_after(stop, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        if stopper is not None:
            stopper.cancel()
        listener.close()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the process's main coroutine on uvloop and return its result."""
    # Counting references frees nearly everything; what start-up made stays, and cycles are looked for less often
    # (about 30 % of the processor time of a no-op run went into looking).
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_drain: Callable[[], None], on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_drain = on_drain
        self._on_ready = on_ready
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Uvicorn would remember the signal and raise it again at the end: a drained server exits with 0.
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self._loop.call_soon_threadsafe(self.stop)

    def stop(self) -> None:
        if not self.should_exit:
            self.should_exit = True
            self._on_drain()


async def _stop_after(stop: asyncio.Event, server: _Server) -> None:
    await stop.wait()
    server.stop()


def _listen(host: str, port: int, stall_s: float) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with contextlib.ExitStack() as undo:
            # With the protocol named, asyncio too sends small answers at once (TCP_NODELAY).
            listener = undo.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # inherited: a host that is gone acknowledges nothing any more
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall_s * 1000))
            listener.bind(address[:2])
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            undo.pop_all()
            return listener
    except OSError as failure:
        raise InvalidSettings.at("host and port", f"cannot listen on {host}:{port}: {failure.strerror}") from None


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
