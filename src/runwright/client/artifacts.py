"""Calls about artifacts: bytes by their digest, sent and read in pieces."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote

from runwright.client.errors import ApiError, ServerUnreachable, UnexpectedAnswer
from runwright.client.models import Artifact
from runwright.client.transport import TIMEOUT_S, Transport

PIECE_BYTES = 256 * 1024


@runtime_checkable
class Readable(Protocol):
    """A file that was opened for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end."""
        ...


Source = bytes | Readable | Iterable[bytes]


class Artifacts:
    """Upload bytes, and download them by their digest."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def upload(self, source: Source, *, project_id: str | None = None) -> Artifact:
        """Upload bytes, a file opened for reading them, or pieces of them; the same bytes are the same artifact.

        Never more than a piece is in memory. Pieces, and a file that cannot go back, are sent once: what fails on the
        way is an error.
        """
        content, again = _content(source)
        return await self._transport.one(
            Artifact,
            "POST",
            "/v1/artifacts",
            params={"project_id": project_id},
            content=content,
            headers={"Content-Type": "application/octet-stream"},
            repeatable=again,
            attempts=None if again else 1,
        )

    async def download(self, digest: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes of an artifact, or those from `start` to before `stop`; a download that is cut goes on.

        Raises `UnexpectedAnswer` at the end of a whole artifact that has not the digest.
        """
        seen = hashlib.sha256()
        path = f"/v1/artifacts/{quote(digest, safe='')}"
        async for piece in pieces(self._transport, path, {}, "application/octet-stream", start=start, stop=stop):
            seen.update(piece)
            yield piece
        if start == 0 and stop is None and seen.hexdigest() != digest:
            raise UnexpectedAnswer(f"the bytes of the artifact {digest} have the digest {seen.hexdigest()}")


async def pieces(
    transport: Transport,
    path: str,
    params: Mapping[str, Any],
    accept: str,
    *,
    start: int = 0,
    stop: int | None = None,
) -> AsyncIterator[bytes]:
    """Yield the bytes of a file, or those from `start` to before `stop`; a download that is cut goes on.

    Raises `UnexpectedAnswer` where the file became another one meanwhile.
    """
    at, failures, tag = start, 0, None
    while stop is None or at < stop:
        headers = {"Accept": accept}
        if at or stop is not None:
            headers["Range"] = f"bytes={at}-{'' if stop is None else stop - 1}"
            headers |= {} if tag is None else {"If-Range": tag}
        try:
            async with transport.stream(path, params, headers, TIMEOUT_S) as response:
                if response.status_code != (206 if "Range" in headers else 200):
                    raise UnexpectedAnswer(f"a range was asked for, the answer is {response.status_code}")
                tag = response.headers.get("etag")
                async for piece in response.aiter_bytes(PIECE_BYTES):
                    at, failures = at + len(piece), 0
                    yield piece
            break
        except (ApiError, ServerUnreachable) as failure:
            refusal = failure if isinstance(failure, ApiError) else None
            if refusal is not None and at > start and refusal.status == 416:
                break  # it was cut after the last byte
            failures += 1
            passing = refusal is None or refusal.status in (429, 502, 503, 504)
            if not passing or failures >= transport.backoff.attempts:
                raise
            asked_s = refusal.retry_after_s if refusal is not None else None
            await asyncio.sleep(transport.backoff.delay_s(failures, asked_s))


def _content(source: Source) -> tuple[Callable[[], Any], bool]:
    """Return what gives the body anew for each try, and whether it can do so more than once."""
    if isinstance(source, bytes):
        return (lambda: source), True
    if not isinstance(source, Readable):
        return (lambda: _pieces(source)), False
    seek: Any = getattr(source, "seek", None)
    if seek is None or not getattr(source, "seekable", lambda: False)():
        return (lambda: _read(source, None)), False
    begin = source.tell()  # type: ignore[attr-defined] # what can seek can tell
    return (lambda: _read(source, begin)), True


async def _pieces(source: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in source:
        yield piece


async def _read(source: Any, begin: int | None) -> AsyncIterator[bytes]:
    if begin is not None:
        source.seek(begin)
    while piece := await asyncio.to_thread(source.read, PIECE_BYTES):
        yield piece
