"""The guard of outgoing connections: a name is resolved once, all its addresses are vetted, and only they are dialled.

It is a network backend of httpcore2, beneath the connection pool: no URL, redirect, proxy variable or second answer of
a name server leads past it. It fails closed: a name with one address that may not be sent to is not connected to.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpcore2
from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream, ConnectError, ConnectTimeout

from runwright.clock import Clock
from runwright.domain.addresses import address_problem, host_problem

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host, best first; raises `OSError` for one that has none."""

RESOLVED_US = "runwright.resolved_us"
"""What a stream knows (`get_extra_info`) of its name's resolution: how many µs it took."""

_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class AddressRefused(ConnectError):
    """Say that a host may not be sent to; nothing was connected."""


class NameUnresolved(ConnectError):
    """Say that a host's name has no address, or that nobody could tell it."""


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Guard(AsyncNetworkBackend):
    """Connects to what the policy allows; `allow_private` opens private addresses, never the forbidden ones."""

    def __init__(self, clock: Clock, *, allow_private: bool, resolver: Resolver = resolve) -> None:
        self._clock = clock
        self._allow_private = allow_private
        self._resolver = resolver
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to the first address of a host that answers; all of them are vetted before any is tried.

        `timeout` bounds the resolution and all tries together. Raises `AddressRefused`, `NameUnresolved`, and what
        httpcore2 raises for a connection that does not come about.
        """
        begun = self._clock.monotonic()
        addresses = await self.vetted(host, port, timeout)
        resolved = self._clock.monotonic() - begun
        for number, address in enumerate(addresses):
            left = None
            if timeout is not None:
                # Each address gets an equal share of what is left, so that a dead one does not use up all of it.
                left = (begun + timeout - self._clock.monotonic()) / (len(addresses) - number)
                if left <= 0:
                    raise ConnectTimeout(f"no address of {host} answered within {timeout:g} s")
            try:
                stream = await self._sockets.connect_tcp(address, port, left, local_address, socket_options)
            except (ConnectError, ConnectTimeout):
                if number + 1 == len(addresses):
                    raise
            else:
                return Line(stream, int(resolved * 1e6))
        raise NameUnresolved(f"the name {host} has no address")

    async def vetted(self, host: str, port: int, limit_s: float | None) -> list[str]:
        """Return the addresses of a host, all of which may be sent to; whoever dials must dial one of these.

        Raises `AddressRefused`, `NameUnresolved`, and `ConnectTimeout` when that takes longer than `limit_s`.
        """
        problem = host_problem(host, allow_private=self._allow_private)
        if problem is not None:
            raise AddressRefused(problem)
        try:
            async with asyncio.timeout(limit_s):
                found = await self._resolver(host, port)
        except TimeoutError:
            raise ConnectTimeout(f"the name {host} was not resolved within {limit_s:g} s") from None
        except (OSError, UnicodeError) as failure:
            reason = getattr(failure, "strerror", None) or "it cannot be read"
            raise NameUnresolved(f"the name {host} cannot be resolved: {reason}") from failure
        addresses = list(dict.fromkeys(found))
        for address in addresses:
            problem = address_problem(address, allow_private=self._allow_private)
            if problem is not None:
                raise AddressRefused(f"{host} is not sent to: {problem}")
        return addresses

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[_SocketOption] | None = None
    ) -> AsyncNetworkStream:
        """Refuse: an endpoint is reached by the network."""
        raise AddressRefused("sockets of this machine are not sent to")

    async def sleep(self, seconds: float) -> None:
        """Wait; the connection pool asks for it between tries, of which it makes none."""
        await self._clock.sleep(seconds)


class Line(AsyncNetworkStream):
    """A connection that knows how its peer was found, and whether more came than the answer that was read.

    Bytes past the end of an answer would be taken for the beginning of the next one: such a line is not used again.
    """

    def __init__(self, stream: AsyncNetworkStream, resolved_us: int) -> None:
        self._stream = stream
        self._resolved_us = resolved_us
        self._spoiled = False
        self._socket: socket.socket | None = None
        self._head: bytes | None = b""
        self._body_bytes = 0
        self._tail = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what has come."""
        data = await self._stream.read(max_bytes, timeout)
        body = data
        if self._head is not None:
            self._head += data
            _, end, body = self._head.partition(b"\r\n\r\n")
            if end:
                self._head = None
            else:
                body = b""
        self._body_bytes += len(body)
        self._tail = (self._tail + body)[-len(_LAST_CHUNK) :]
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write a part of a request."""
        self._head, self._body_bytes, self._tail = b"", 0, b""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncNetworkStream:
        """Return the connection under TLS, its certificate checked for the name that was asked for."""
        return Line(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._resolved_us)

    def get_extra_info(self, info: str) -> Any:
        """Tell something about the connection; a spoiled one reads as one that the peer has closed."""
        if info == RESOLVED_US:
            return self._resolved_us
        if info == "is_readable":
            return self._spoiled or self._readable()
        return self._stream.get_extra_info(info)

    def _readable(self) -> bool:
        # The pool asks this of every idle connection at every request: finding the socket anew each time would take
        # most of a busy server's time.
        if self._socket is None:
            self._socket = self._stream.get_extra_info("socket")
        if self._socket is None or self._socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def settle(self, length: int | None) -> None:
        """Hear how long the body of the answer was, None when it came in chunks; more than that spoils the line."""
        exact = self._tail == _LAST_CHUNK if length is None else self._body_bytes == length
        self._spoiled = self._spoiled or self._head is not None or not exact


_LAST_CHUNK = b"0\r\n\r\n"
