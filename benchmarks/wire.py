"""HTTP as thin as it gets, so that who asks does not bound the answer: bytes prepared before, answers cut by length.

A measurement's own process holds the connections. Nothing here is a client for any other server than ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from benchmarks.server import API_KEY, Server

_HEAD_END = b"\r\n\r\n"


def request(method: str, path: str, body: Any = None, accept: str = "application/json") -> bytes:
    """Return the bytes of a request."""
    encoded = b"" if body is None else msgspec.json.encode(body)
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {API_KEY}\r\naccept: {accept}\r\n"
        + (f"content-type: application/json\r\ncontent-length: {len(encoded)}\r\n" if encoded else "")
        + "\r\n"
    )
    return head.encode() + encoded


class Connection(asyncio.Protocol):
    """A kept connection that asks one thing at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parts = b""

    @classmethod
    async def to(cls, server: Server) -> Connection:
        """Open a connection."""
        return await cls.at(server.host, server.port)

    @classmethod
    async def at(cls, host: str, port: int) -> Connection:
        """Open a connection to an address."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer who waits, once the answer is whole."""
        self._parts = self._parts + data if self._parts else data
        head_end = self._parts.find(_HEAD_END)
        if head_end < 0:
            return
        head = self._parts[:head_end]
        place = head.find(b"content-length: ")
        size = int(head[place + 16 :].split(b"\r", 1)[0]) if place >= 0 else 0
        whole = head_end + 4 + size
        if len(self._parts) >= whole and self._answer is not None:
            answer, self._answer = self._answer, None
            body, self._parts = self._parts[head_end + 4 : whole], self._parts[whole:]
            answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that nothing comes."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))

    async def ask(self, asked: bytes, *expected: int) -> bytes:
        """Send a request and return the body of its answer; raise `RuntimeError` for another status than expected."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(asked)
        status, body = await self._answer
        if status not in (expected or (200, 201)):
            raise RuntimeError(f"{status} {body[:500].decode('utf-8', 'replace')}")
        return body

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


async def connections(server: Server, count: int) -> list[Connection]:
    """Open so many connections."""
    return [await Connection.to(server) for _ in range(count)]


async def ask_all(lines: Sequence[Connection], asked: Sequence[bytes]) -> list[float]:
    """Send the requests over the connections, each connection one at a time; return how long each took, in ms."""
    left = iter(asked)
    took: list[float] = []

    async def keep_asking(line: Connection) -> None:
        for each in left:
            begun = time.perf_counter()
            await line.ask(each)
            took.append((time.perf_counter() - begun) * 1000)

    await asyncio.gather(*(keep_asking(line) for line in lines))
    return took


def trigger(job: str, payload: dict[str, Any]) -> bytes:
    """Return the request that triggers a job once."""
    return request("POST", f"/v1/jobs/{job}/trigger?project_id=default", {"payload": payload})


def run_id(answer: bytes) -> str:
    """Return the id of the run that a trigger made."""
    found: str = msgspec.json.decode(answer)["id"]
    return found


LIVE = request("GET", "/v1/runs?project_id=default&state=queued&state=scheduled&state=executing&limit=1")


async def settled(line: Connection) -> None:
    """Return when no run of the server is under way any more."""
    while await line.ask(LIVE) != b"[]":
        pass
