"""A real HTTP server on this machine for scripted answers: what stands at the other end of the client."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import uvicorn

from tests.ports import kept_for

DRIP_S = 0.02


class Request(msgspec.Struct):
    """What the client sent."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Cut(Exception):
    """Raised by an answer to cut the connection."""


class Answer(msgspec.Struct):
    """What the server sends: a status, headers and a body.

    `cut` breaks the connection after `body`; with `drip` it is held instead, and this sent again and again.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    cut: bool = False
    drip: bytes | None = None


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, msgspec.json.encode(value), {name.replace("_", "-"): text for name, text in headers.items()})


def problem(status: int, code: str, message: str = "no", **headers: str) -> Answer:
    body = {"error": message, "code": code, "message": message, "request_id": "req_1", "details": {"a": 1}}
    return json_answer(body, status, **headers)


class LocalServer:
    """Answer requests by `respond`, and remember them."""

    def __init__(self, respond: Callable[[Request], Answer | Awaitable[Answer]]) -> None:
        self.respond = respond
        self.requests: list[Request] = []
        self.url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        request = Request(
            scope["method"],
            scope["raw_path"].decode(),
            parse_qsl(scope["query_string"].decode(), keep_blank_values=True),
            {name.decode(): value.decode() for name, value in scope["headers"]},
            body,
        )
        self.requests.append(request)
        answer = self.respond(request)
        if not isinstance(answer, Answer):
            answer = await answer
        headers = {"content-type": "application/json", **answer.headers}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await send(
            {"type": "http.response.body", "body": answer.body, "more_body": answer.cut or answer.drip is not None}
        )
        while answer.drip is not None and not await self._gone(receive):
            await send({"type": "http.response.body", "body": answer.drip, "more_body": True})
        if answer.cut:
            raise Cut

    async def _gone(self, receive: Any) -> bool:
        """Tell whether the client goes away within a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRIP_S):
                return bool((await receive())["type"] == "http.disconnect")
        return False


@contextlib.asynccontextmanager
async def serving(respond: Callable[[Request], Answer | Awaitable[Answer]]) -> AsyncIterator[LocalServer]:
    """Serve on a free port while the block runs."""
    local = LocalServer(respond)
    # asyncio turns Nagle's algorithm off only where the protocol is named: without it, 40 ms an answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        local.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(local, log_config=None, lifespan="off", access_log=False, ws="none")
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])  # without its main loop, which would take a tenth of a second to end
        try:
            yield local
        finally:
            server.force_exit = True
            await server.shutdown([listener])


@functools.cache
def dead_url() -> str:
    """Return the address of a port where nobody listens as long as this process lives."""
    return f"http://127.0.0.1:{kept_for(dead_url)}"
