"""The state changes of all runs that a key may see, over cuts and overload."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx2
import msgspec

from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, ServerUnreachable, UnexpectedAnswer
from runwright.client.models import Change
from runwright.client.stream import EVENT_MAX_BYTES, IDLE_TIMEOUT_S
from runwright.client.transport import Transport


class FeedStream:
    """Iterate over state changes, for ever. None stands for a resync: read the lists, some changes may be missing.

    It comes at the begin of each connection, and whenever this reader was too slow. A connection that is cut is made
    again, at most `backoff.attempts` times in a row without any frame.
    """

    def __init__(self, transport: Transport, project_id: str | None, backoff: Backoff) -> None:
        self._transport = transport
        self._params = {"project_id": project_id}
        self._backoff = backoff

    async def __aiter__(self) -> AsyncIterator[Change | None]:
        failures = 0
        while True:
            failure: ApiError | ServerUnreachable | None = None
            try:
                async with aclosing(self._connection()) as changes:
                    async for change in changes:
                        failures = 0
                        yield change
            except (ApiError, ServerUnreachable) as error:
                if isinstance(error, ApiError) and error.status < 500 and error.status != 429:
                    raise
                failure = error
            failures += 1
            if failures >= self._backoff.attempts:
                raise failure or ServerUnreachable(self._transport.url, "the feed ends again and again")
            asked_s = failure.retry_after_s if isinstance(failure, ApiError) else None
            await asyncio.sleep(self._backoff.delay_s(failures, asked_s))

    async def _connection(self) -> AsyncGenerator[Change | None]:
        headers = {"Accept": "text/event-stream"}
        async with self._transport.stream("/v1/feed", self._params, headers, IDLE_TIMEOUT_S) as response:
            async for frame in httpx2.EventSource(response, max_event_size=EVENT_MAX_BYTES):
                if frame.event == "resync":
                    yield None
                elif frame.data:
                    try:
                        change = Change.read(frame.data)
                    except msgspec.MsgspecError as error:
                        raise UnexpectedAnswer(f"the feed holds {frame.data[:80]!r}: {error}") from None
                    yield change
