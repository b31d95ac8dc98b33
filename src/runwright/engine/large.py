"""Large values are worked on in a thread, a piece at a time: whoever else waits for the event loop has turns meanwhile.

Most of what is done with bytes holds the interpreter until it is done, in a thread too; hashing does not.
"""

from __future__ import annotations

import asyncio
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import TypeVar

LARGE_BYTES = 1 << 20
"""What is done with less takes less than a millisecond or two, which a thread costs as well."""
_PIECE, _TEXT = 3 << 18, 4 << 18
"""Bytes, and the characters that they are in base64."""
T = TypeVar("T")


async def apart(size: int, work: Callable[[], T]) -> T:
    """Do work over so many bytes: here if they are few, else in a thread. It must not touch what others change."""
    return work() if size <= LARGE_BYTES else await asyncio.to_thread(work)


def text_of(data: bytes) -> bytes:
    """Return the JSON of bytes: a text in base64, as msgspec writes it."""
    pieces = memoryview(data)
    texts = (b2a_base64(pieces[start : start + _PIECE], newline=False) for start in range(0, len(data), _PIECE))
    return b"".join((b'"', *texts, b'"'))


def bytes_of(text: bytes) -> bytes:
    """Return the bytes of which this is the JSON."""
    within = memoryview(text)[1:-1]
    return b"".join([a2b_base64(within[start : start + _TEXT]) for start in range(0, len(within), _TEXT)])
