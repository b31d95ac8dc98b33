"""Answer with bytes that never change, whole or a range of them, streamed as their reader takes them (RFC 9110)."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from runwright.errors import RangeNotSatisfiable

MEDIA_TYPE = "application/octet-stream"
HEADERS = {
    "Range": "`bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`: only these bytes; more than one range gives all.",
    "If-Range": "The range only if this is the ETag, else all.",
    "If-None-Match": "ETags that the caller has the bytes of.",
}
ANSWER_HEADERS = {
    "ETag": "The digest, in quotes.",
    "Accept-Ranges": "`bytes`.",
    "Content-Disposition": "`attachment`: for a file, never to be shown as a page.",
}
ANSWERS = {
    206: "The range of bytes that was asked for",
    304: "The caller has these bytes",
    416: "The range begins behind the end",
}

Pieces = Callable[[int, int], AsyncGenerator[bytes]]
"""Yields the bytes from a place to before another."""

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.IGNORECASE)
_BEYOND = 10**18


def stretch(asked: str | None, size: int) -> tuple[int, int] | None:
    """Return where the one range of a `Range` header begins and (exclusive) ends; None for all of the bytes.

    What is malformed, of another unit, or several ranges is not followed. Raises `RangeNotSatisfiable`.
    """
    found = _RANGE.fullmatch(asked.replace(" ", "")) if asked else None
    if found is None or not (found[1] or found[2]):
        return None
    last = _number(found[2]) if found[2] else size - 1
    if not found[1]:
        if not last:
            raise RangeNotSatisfiable(size)
        return (max(size - last, 0), size) if size else None
    first = _number(found[1])
    if found[2] and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable(size)
    return first, min(last + 1, size)


def spans(
    call_method: str, headers: Callable[[str], str | None], tag: str, size: int
) -> tuple[bool, tuple[int, int] | None]:
    """Return whether a caller has the bytes of this tag, and which of them it asked for, by its headers."""
    held = is_held(headers("if-none-match"), tag)
    if call_method != "GET" or held or headers("if-range") not in (None, f'"{tag}"'):
        return held, None
    return held, stretch(headers("range"), size)


def _number(text: str) -> int:
    return int(text) if len(text) <= 18 else _BEYOND


def is_held(asked: str | None, digest: str) -> bool:
    """Tell whether an `If-None-Match` header names these bytes."""
    tags = [tag.strip().removeprefix("W/") for tag in (asked or "").split(",")]
    return "*" in tags or f'"{digest}"' in tags


class FileAnswer:
    """An ASGI response of bytes by their digest."""

    __slots__ = ("_done", "_pieces", "_span", "raw_headers", "status_code")

    def __init__(
        self,
        digest: str,
        size: int,
        pieces: Pieces,
        *,
        span: tuple[int, int] | None,
        held: bool,
        name: str | None = None,
        media: str = MEDIA_TYPE,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Answer with a `span`, or all; with no more than the headers to who has `held` the bytes before.

        `name` is the file's, else it is the digest; when all is sent, or nobody reads any more, it is `done`.
        """
        self._pieces = pieces
        self._done = done
        self._span = (0, 0) if held else span or (0, size)
        self.status_code = 304 if held else 200 if span is None else 206
        headers = {
            "etag": f'"{digest}"',
            "cache-control": "private, no-cache",
            "accept-ranges": "bytes",
            "content-disposition": f'attachment; filename="{name or digest}"',
            "x-content-type-options": "nosniff",
        }
        if not held:
            headers |= {"content-type": media, "content-length": str(self._span[1] - self._span[0])}
        if self.status_code == 206:
            headers["content-range"] = f"bytes {self._span[0]}-{self._span[1] - 1}/{size}"
        self.raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers, and the bytes for as long as their reader is there."""
        try:
            await self._send(scope, receive, send)
        finally:
            self._done()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD" and self._span[0] < self._span[1]:
            gone = asyncio.create_task(_departed(receive))
            try:
                async with aclosing(self._pieces(*self._span)) as pieces:
                    async for piece in pieces:
                        if gone.done():
                            return
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                gone.cancel()
        await send({"type": "http.response.body", "body": b""})


async def _departed(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
