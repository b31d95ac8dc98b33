"""Read what providers stream: server-sent events, each with one JSON text.

The SDKs build a model of theirs out of each event, which takes longer than all the rest of a call; of their answers we
take the bytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

import msgspec

from runwright.agents.providers.port import Malformed

T = TypeVar("T")


async def events(parts: AsyncIterator[bytes], decoder: msgspec.json.Decoder[T]) -> AsyncGenerator[T]:
    """Yield the data of every event, read; comments, names of events and ``[DONE]`` are passed over.

    Raises `Malformed` for data that is not what the decoder reads. An event that the end cuts off counts as none.
    """
    data: list[bytes] = []
    async for line in _lines(parts):
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
        elif not line and data:
            text = b"\n".join(data)
            data.clear()
            if text and text != b"[DONE]":
                try:
                    read = decoder.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    raise Malformed from None
                yield read


async def _lines(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the lines, whose ends are of any of the three kinds; what the end cuts off is none."""
    left: list[bytes] = []
    returned = False
    async for part in parts:
        if returned and part:  # the second half of an end that was cut in two
            part = part.removeprefix(b"\n")
            returned = False
        returned = returned or part.endswith(b"\r")
        *whole, rest = part.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            yield b"".join((*left, line)) if left else line
            left.clear()
        if rest:
            left.append(rest)
