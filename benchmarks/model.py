"""A model in a process of its own: it answers as OpenAI's chat completions do, always the same, at a model's pace.

`python -m benchmarks.model` prints the port that it serves on. Its tokens come at instants that are fixed when it is
asked, so that whoever reads late does not slow it down. The standard library alone: peers ask it, too.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

FIRST_S, EVERY_S, TOKENS = 0.05, 0.02, 40
"""When the first token comes, how long after each the next, and how many there are."""
WHOLE_S = FIRST_S + (TOKENS - 1) * EVERY_S
NAME = "steady"

_HEAD_END = b"\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _chunk(delta: dict[str, Any] | None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_800_000_000, "model": NAME}
    return _sse(json.dumps({**head, "choices": choices, **more}, separators=(",", ":")))


def _sse(data: str) -> bytes:
    body = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(body), body)


_BEGIN = _chunk({"role": "assistant", "content": ""})
_TOKENS = [_chunk({"content": f"token{number} "}) for number in range(TOKENS)]
_USAGE = {"prompt_tokens": 20, "completion_tokens": TOKENS, "total_tokens": 20 + TOKENS}
_END = _chunk({}, finish="stop") + _chunk(None, usage=_USAGE) + _sse("[DONE]") + b"0\r\n\r\n"


class _Talk(asyncio.Protocol):
    """A connection that answers one request after the other."""

    def __init__(self) -> None:
        self._parts = b""
        self._transport: asyncio.Transport
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parts += data
        head_end = self._parts.find(_HEAD_END)
        if head_end < 0:
            return
        head = self._parts[:head_end].lower()
        size = int(head.partition(b"content-length:")[2].split(b"\r", 1)[0])
        if len(self._parts) >= head_end + 4 + size:
            self._parts = self._parts[head_end + 4 + size :]
            self._transport.write(_HEAD + _BEGIN)
            self._say(0, asyncio.get_running_loop().time() + FIRST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()

    def _say(self, number: int, at: float) -> None:
        self._next = asyncio.get_running_loop().call_at(at, self._said, number, at)

    def _said(self, number: int, at: float) -> None:
        last = number == TOKENS - 1
        self._transport.write(_TOKENS[number] + (_END if last else b""))
        if not last:
            self._say(number + 1, at + EVERY_S)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Talk, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def speaking() -> Iterator[int]:
    """Yield the port of a model, which ends with the block."""
    words = [sys.executable, "-m", "benchmarks.model"]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve())
