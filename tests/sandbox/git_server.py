"""A forge: `git http-backend` behind a small HTTP server of this machine, which may also send others on."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.listening import listening

Answer = Callable[[str], bytes | None]
"""Returns the whole answer to a request for a path, None where git shall answer."""


class Asked(NamedTuple):
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]


class Forge:
    """Serves the repositories beneath a directory."""

    def __init__(self, root: Path, answer: Answer = lambda _: None) -> None:
        self.root = root
        self.answer = answer
        self.asked: list[Asked] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, however long that takes, until the server ends."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
            body = await _body(reader, headers)
            self.asked.append(Asked(method, target, headers))
            writer.write(self.answer(target) or await self.git(method, target, headers, body))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def git(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        """Return git's answer."""
        path, _, query = target.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        }
        pipe = asyncio.subprocess.PIPE
        backend = await asyncio.create_subprocess_exec("git", "http-backend", env=env, stdin=pipe, stdout=pipe)
        told, _ = await backend.communicate(body)
        head, _, content = told.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        status = next((line[8:] for line in lines if line.startswith(b"Status: ")), b"200 OK")
        kept = [line for line in lines if not line.startswith(b"Status: ")]
        return b"\r\n".join([b"HTTP/1.1 " + status, *kept, b"Connection: close", b"", content])


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


@asynccontextmanager
async def serving(forge: Forge, certificates: ssl.SSLContext | None = None) -> AsyncIterator[Forge]:
    """Serve a forge on this machine."""
    async with listening(forge.take, tls=certificates) as forge.port:
        yield forge


def sent_on(location: str, status: int = 302) -> bytes:
    """Return an answer that sends a client on."""
    return f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
