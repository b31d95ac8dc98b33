"""The events of a run as they happen: a stream that loses and repeats nothing over cuts, restarts and overload."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing

import httpx2
import msgspec

from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, ClientError, ServerUnreachable, StreamGap, UnexpectedAnswer
from runwright.client.models import TERMINAL_TYPES, Event
from runwright.client.transport import Transport

IDLE_TIMEOUT_S = 45.0
"""A server sends a comment every 15 s: a connection that is silent for three of them is dead."""

EVENT_MAX_BYTES = 16 << 20

OnCut = Callable[[ClientError | None, float], None]
"""Told of each cut: what it was (None: the server ended the connection), and the seconds until the next connection."""


class EventStream:
    """Iterate over the events of a run after `after_seq`, to the terminal one; wait for those that are to come.

    A connection that is cut, refused for now or too slow is made again from the last event on, at most
    `backoff.attempts` times in a row without a new event. Events arrive in order, each once. Where the server says
    that events were removed, or one is missing, `StreamGap` is raised, unless `allow_gaps`.
    """

    def __init__(
        self,
        transport: Transport,
        run_id: str,
        *,
        path: str = "stream",
        after_seq: int = 0,
        types: Iterable[str] = (),
        allow_gaps: bool = False,
        backoff: Backoff,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        on_cut: OnCut | None = None,
    ) -> None:
        self.last_seq = after_seq
        self._transport = transport
        self._path = f"/v1/runs/{run_id}/{path}"
        self._types = frozenset(types)
        self._allow_gaps = allow_gaps
        self._backoff = backoff
        self._idle_timeout_s = idle_timeout_s
        self._on_cut = on_cut
        self._retry_s: float | None = None
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[Event]:
        failures = 0
        while True:
            before = self.last_seq
            failure: ApiError | ServerUnreachable | None = None
            try:
                async with aclosing(self._connection()) as events:
                    async for event in events:
                        if not self._types or event.type in self._types:
                            yield event
            except (ApiError, ServerUnreachable) as error:
                if isinstance(error, ApiError) and error.status < 500 and error.status not in (408, 425, 429):
                    raise
                failure = error
            if self._ended:
                return
            failures = 0 if self.last_seq > before else failures + 1
            if failures >= self._backoff.attempts:
                raise failure or ServerUnreachable(self._transport.url, "the stream ends again and again")
            delay_s = self._delay_s(failures, failure)
            if self._on_cut is not None:
                self._on_cut(failure, delay_s)
            await asyncio.sleep(delay_s)

    async def _connection(self) -> AsyncGenerator[Event]:
        """Yield the new events of one connection; mark the stream ended at the terminal one."""
        self._retry_s = None
        # The terminal types are always asked for: without them a filtered stream would not know its end.
        types = ",".join(sorted(self._types | TERMINAL_TYPES)) if self._types else None
        params = {"after_seq": self.last_seq, "types": types}
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.last_seq)}
        async with self._transport.stream(self._path, params, headers, self._idle_timeout_s) as response:
            if response.status_code == 204:
                self._ended = True
                return
            async for frame in httpx2.EventSource(response, max_event_size=EVENT_MAX_BYTES):
                if frame.event == "lagged":  # read too slowly: what is missing comes with the next connection
                    self._retry_s = None
                    return
                event = self._read(frame)
                if event is None:
                    continue
                self._ended = event.terminal
                yield event
                if self._ended:
                    return

    def _read(self, frame: httpx2.ServerSentEvent) -> Event | None:
        """Return the event of a frame; None for what is none, or was seen before."""
        if frame.retry is not None:
            self._retry_s = frame.retry / 1000
        if not frame.data:
            return None
        try:
            if frame.event == "gap":
                gap = msgspec.json.decode(frame.data, type=_Gap)
                self._miss(gap.from_seq, gap.to_seq)
                return None
            event = Event.read(frame.data)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswer(f"the stream holds {frame.data[:80]!r}: {error}") from None
        if event.seq <= self.last_seq:
            return None
        if event.seq > self.last_seq + 1 and not self._types:
            self._miss(self.last_seq + 1, event.seq - 1)
        self.last_seq, self._retry_s = event.seq, None
        return event

    def _miss(self, first: int, last: int) -> None:
        if not self._allow_gaps:
            raise StreamGap(first, last)
        self.last_seq = max(self.last_seq, last)

    def _delay_s(self, failures: int, failure: ClientError | None) -> float:
        if failure is None and self._retry_s is not None:  # ended as it should: come back when the server said
            return min(self._retry_s, self._backoff.max_s)
        asked_s = failure.retry_after_s if isinstance(failure, ApiError) else None
        return self._backoff.delay_s(failures, asked_s) if failures or asked_s else 0.0


class _Gap(msgspec.Struct):
    from_seq: int
    to_seq: int
