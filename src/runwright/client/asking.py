"""What a worker elsewhere asks a server: an answer of the shape that it needs, in time, or an error of ours."""

import asyncio
from typing import Any, TypeVar

import msgspec

from runwright.client.errors import ServerUnreachable, UnexpectedAnswer
from runwright.client.transport import Transport

S = TypeVar("S", bound=msgspec.Struct)


async def told(
    kind: type[S], transport: Transport, path: str, body: Any, *, within_s: float, repeatable: bool = True
) -> S:
    """POST something and return what is answered. Raises as `Transport.send`; no answer in time is no server."""
    try:
        async with asyncio.timeout(within_s):
            response = await transport.send("POST", path, body=body, repeatable=repeatable)
    except TimeoutError:
        raise ServerUnreachable(transport.url, "no answer in time") from None
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.MsgspecError as error:
        start = response.content[:80].decode("utf-8", "replace")
        raise UnexpectedAnswer(f"POST {transport.url}{path} answered {start!r}: {error}") from None
