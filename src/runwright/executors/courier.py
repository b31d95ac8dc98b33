"""Carry messages of webhooks with the dispatcher of http jobs: one pool of connections, one guard."""

from __future__ import annotations

import asyncio

from runwright.clock import Clock
from runwright.domain.webhooks import Sent
from runwright.executors.answers import excerpt, retry_after_s
from runwright.executors.dispatch import Dispatcher, Fault


class DispatchingCourier:
    """The `Courier` of the server."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._clock = clock

    async def send(self, url: str, headers: dict[str, str], body: bytes, timeout_s: float) -> Sent:
        """Post a body, wait at most so long, and return what came of it, whatever happened."""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._dispatcher.post(url, headers, body)
        except TimeoutError:
            return Sent(None, f"there was no answer within {timeout_s:g} s (RUNWRIGHT_WEBHOOK_TIMEOUT_S)")
        if isinstance(answer, Fault):
            return Sent(None, answer.message, retryable=answer.retryable)
        shown = excerpt(answer.body)
        said = f"the address answered {answer.status}" + (f": {shown}" if shown else "")
        wait_s = retry_after_s(answer.headers.get("retry-after"), self._clock.now())
        return Sent(answer.status, said, wait_s)
