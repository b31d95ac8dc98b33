"""A server of models that speaks as OpenAI's and Anthropic's do, says what it is told to, and fails as it is told to.

By itself: ``python -m tests.agents.model_server`` serves on a free port, which it prints, and echoes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import msgspec

from runwright.clock import SystemClock
from tests.agents.model_wire import WIRES, Reply, sse
from tests.listening import listening

Fault = Literal[
    "refused", "silent", "slow_start", "pings", "stall", "reset", "cut", "malformed", "wrong_shape", "number_for_text",
    "rate_limited", "no_money", "overloaded", "told_overloaded", "told_wrong", "echo_key", "echo_key_500",
    "told_echo_key", "echo_half_key", "endless", "packed", "redirect", "no_end", "not_http",
]  # fmt: skip
"""How a server goes wrong; those that begin with `told` do so within the stream."""

CLOCK = SystemClock()

_STATUS: dict[str, tuple[str, dict[str, str], str, str]] = {
    "rate_limited": ("429 Too Many Requests", {"retry-after": "7"}, "rate_limit_error", "Slow down."),
    "no_money": ("429 Too Many Requests", {}, "insufficient_quota", "You exceeded your quota."),
    "overloaded": ("529 Overloaded", {"retry-after-ms": "1500"}, "overloaded_error", "Overloaded."),
    "echo_key": ("401 Unauthorized", {}, "authentication_error", "Incorrect API key provided: {key}."),
    "echo_key_500": ("500 Internal Server Error", {}, "api_error", "Crashed on header Bearer {key} of the request."),
    "echo_half_key": ("400 Bad Request", {}, "invalid_request_error", "Not for key {half}…"),
    "redirect": ("307 Temporary Redirect", {"location": "http://127.0.0.1:9/"}, "moved", "Look elsewhere."),
}


class Asked(msgspec.Struct, frozen=True):
    """A request that came; the names of headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def key(self) -> str:
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")


class ModelServer:
    """Answers each request with the next reply or fault of `script`, the last one for ever; with none it echoes."""

    def __init__(self, *script: Reply | Fault) -> None:
        self.script: deque[Reply | Fault] = deque(script)
        self.asked: list[Asked] = []
        self.connections = 0
        self.hung_up = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL for OpenAI's SDK; Anthropic's puts `/v1` before its paths by itself."""
        return f"http://127.0.0.1:{self.port}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self.hung_up.set()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection goes on."""
        asked = await _read(reader)
        self.asked.append(asked)
        step = self._next(asked)
        wire = next(make for path, make in WIRES.items() if asked.path.endswith(path))
        if isinstance(step, Reply):
            _head(writer)
            for piece in wire(step, asked.body["model"]):
                if step.delay_s:
                    await CLOCK.sleep(step.delay_s)
                _chunk(writer, piece)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        whole = [*wire(Reply(text=("Once", " upon", " a", " time")), asked.body["model"])]
        goes_on: bool = await _FAULTS.get(step, _status)(reader, writer, whole, asked, step)
        return goes_on

    def _next(self, asked: Asked) -> Reply | Fault:
        if not self.script:
            return Reply(text=tuple(json.dumps(asked.body)[:64]))
        return self.script.popleft() if len(self.script) > 1 else self.script[0]


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.split("\r\n")
    headers = {name.lower(): text for name, _, text in (each.partition(": ") for each in rest if each)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Asked(line.split(" ")[1], headers, json.loads(body))


def _head(writer: asyncio.StreamWriter, status: str = "200 OK", **headers: str) -> None:
    named = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"} | headers
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {text}" for name, text in named.items()), "", ""]
    writer.write("\r\n".join(lines).encode())


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _begin(writer: asyncio.StreamWriter, whole: list[bytes]) -> None:
    """Write the head and the first half, in which the model has said something."""
    _head(writer)
    for piece in whole[: max(len(whole) // 2, 1) + 1]:
        _chunk(writer, piece)


async def _gone(reader: asyncio.StreamReader) -> None:
    while await reader.read(1024):
        pass


async def _status(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked, fault: Fault
) -> bool:
    status, headers, kind, words = _STATUS[fault]
    told = words.format(key=asked.key, half=asked.key[: len(asked.key) // 2])
    body = json.dumps({"type": "error", "error": {"type": kind, "code": kind, "message": told, "param": None}})
    named = {"content-type": "application/json", "content-length": str(len(body.encode())), **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {text}" for name, text in named.items()), "", body]
    writer.write("\r\n".join(lines).encode())
    await writer.drain()
    return True


def _fault(act: Callable[[asyncio.StreamWriter, list[bytes], Asked], bool], ends: bool = False) -> Any:
    """Make a fault: it writes, and returns whether the server then waits until the client has gone.

    If it `ends`, its answer is a whole one to HTTP: the client may send its next request on the same connection.
    """

    async def go(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked, fault: Fault
    ) -> bool:
        waits = act(writer, whole, asked)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            if waits:
                await _gone(reader)
        return ends

    return go


def _reset(writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked) -> bool:
    _begin(writer, whole)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _after_half(piece: bytes, waits: bool = True) -> Callable[[asyncio.StreamWriter, list[bytes], Asked], bool]:
    def act(writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked) -> bool:
        _begin(writer, whole)
        _chunk(writer, piece)
        return waits

    return act


def _told(kind: str, words: str) -> Callable[[asyncio.StreamWriter, list[bytes], Asked], bool]:
    def act(writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked) -> bool:
        _begin(writer, whole)
        error = {"type": kind, "code": kind, "message": words.format(key=asked.key), "param": None}
        if asked.path.endswith("/responses"):
            _chunk(writer, sse({**error, "type": "error", "sequence_number": 9}, "error"))
        else:
            named = "error" if asked.path.endswith("/messages") else None
            _chunk(writer, sse({"type": "error", "error": error}, named))
        return True

    return act


def _head_then(*pieces: bytes, **headers: str) -> Callable[[asyncio.StreamWriter, list[bytes], Asked], bool]:
    def act(writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked) -> bool:
        _head(writer, **headers)
        for piece in pieces:
            _chunk(writer, piece)
        return True

    return act


def _no_end(writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked) -> bool:
    _begin(writer, whole)
    writer.write(b"0\r\n\r\n")
    return False


def _only(data: bytes, waits: bool) -> Callable[[asyncio.StreamWriter, list[bytes], Asked], bool]:
    def act(writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked) -> bool:
        writer.write(data)
        return waits

    return act


def _number(writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked) -> bool:
    _head(writer)
    for piece in whole:
        _chunk(writer, piece.replace(b'"Once"', b"7").replace(b'" upon"', b'["upon"]'))
    writer.write(b"0\r\n\r\n")
    return False


_SHAPES = {
    "/chat/completions": sse({"choices": [{"delta": 7}]}),
    "/responses": sse({"type": "response.output_text.delta", "delta": 7}),
    "/messages": sse({"type": "content_block_delta", "delta": 7}, "content_block_delta"),
}


def _wrong_shape(writer: asyncio.StreamWriter, whole: list[bytes], asked: Asked) -> bool:
    _begin(writer, whole)
    _chunk(writer, next(piece for path, piece in _SHAPES.items() if asked.path.endswith(path)))
    return True


_BOMB = b": " + b"x" * 4096 + b"\n\n"

_FAULTS: dict[str, Any] = {
    "refused": _fault(_only(b"", False)),
    "silent": _fault(_only(b"", True)),
    "not_http": _fault(_only(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", True)),
    "slow_start": _fault(_head_then()),
    "pings": _fault(_head_then(b": ping\n\n", b": ping\n\n")),
    "stall": _fault(_after_half(b": the last sign\n\n")),
    "reset": _fault(_reset),
    "cut": _fault(_after_half(b"", waits=False)),
    "malformed": _fault(_after_half(b'event: message_delta\ndata: {"choices": [{"del\n\n')),
    "wrong_shape": _fault(_wrong_shape),
    "number_for_text": _fault(_number, ends=True),
    "told_overloaded": _fault(_told("overloaded_error", "Come back later.")),
    "told_wrong": _fault(_told("invalid_request_error", "The prompt is too long.")),
    "told_echo_key": _fault(_told("api_error", "Lost the session of {key}.")),
    "endless": _fault(_head_then(*[_BOMB] * 300)),
    "packed": _fault(_head_then(b"\x1f\x8b", content_encoding="gzip")),
    "no_end": _fault(_no_end, ends=True),
}


@contextlib.asynccontextmanager
async def serving(*script: Reply | Fault) -> AsyncIterator[ModelServer]:
    """Serve on a free port of this machine."""
    models = ModelServer(*script)
    async with listening(models.accept) as models.port:
        yield models


async def _main() -> None:
    async with serving() as models:
        print(models.port, flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
