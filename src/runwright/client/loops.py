"""Calls to remediation loops: start one, see where it stands, wait for its end. All else is at its run."""

from typing import Unpack
from urllib.parse import quote

from runwright.client.loop_fields import LoopOrder
from runwright.client.loop_models import OmarLoop, StartedLoop
from runwright.client.transport import Transport

LOOPS = "/api/v1/loops/omar"
WAIT_S = 20.0
"""So long one request waits for something new; less than the client's timeout."""


class Loops:
    """Remediation loops: patch, verify, keep or put back, until a repository is clean or a ceiling is reached."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def start(self, *, idempotency_key: str | None = None, **order: Unpack[LoopOrder]) -> StartedLoop:
        """Start a loop. Called once, it starts one, however often the request must be sent.

        Without an `idempotency_key` of the caller's, one is made up for this call.
        """
        return await self._transport.made(StartedLoop, LOOPS, dict(order), idempotency_key)

    async def get(self, loop_id: str, *, wait: float | None = None, since_seq: int | None = None) -> OmarLoop:
        """Return where a loop stands.

        With `wait` it comes when something has happened after `since_seq`, or so many seconds later; less than the
        client's timeout.
        """
        params = {"wait": wait, "since_seq": since_seq}
        return await self._transport.one(OmarLoop, "GET", f"{LOOPS}/{quote(loop_id, safe='')}", params=params)

    async def wait(self, loop_id: str) -> OmarLoop:
        """Return how a loop ended, once it has, and its delivery, if it asks for one, has ended or waits for people."""
        loop = await self.get(loop_id)
        while not loop.settled:
            loop = await self.get(loop_id, wait=WAIT_S)
        return loop
