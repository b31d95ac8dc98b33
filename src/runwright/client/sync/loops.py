# Generated from runwright/client/loops.py by `make docs`; change that one instead.
"""Calls to remediation loops: start one, see where it stands, wait for its end. All else is at its run."""

from typing import Unpack
from urllib.parse import quote

from runwright.client.loop_fields import LoopOrder
from runwright.client.loop_models import OmarLoop, StartedLoop
from runwright.client.sync.transport import Transport

LOOPS = "/api/v1/loops/omar"
WAIT_S = 20.0
"""So long one request waits for something new; less than the client's timeout."""


class Loops:
    """Remediation loops: patch, verify, keep or put back, until a repository is clean or a ceiling is reached."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def start(self, *, idempotency_key: str | None = None, **order: Unpack[LoopOrder]) -> StartedLoop:
        """Start a loop. Called once, it starts one, however often the request must be sent.

        Without an `idempotency_key` of the caller's, one is made up for this call.
        """
        return self._transport.made(StartedLoop, LOOPS, dict(order), idempotency_key)

    def get(self, loop_id: str, *, wait: float | None = None, since_seq: int | None = None) -> OmarLoop:
        """Return where a loop stands.

        With `wait` it comes when something has happened after `since_seq`, or so many seconds later; less than the
        client's timeout.
        """
        params = {"wait": wait, "since_seq": since_seq}
        return self._transport.one(OmarLoop, "GET", f"{LOOPS}/{quote(loop_id, safe='')}", params=params)

    def wait(self, loop_id: str) -> OmarLoop:
        """Return how a loop ended, once it has, and its delivery, if it asks for one, has ended or waits for people."""
        loop = self.get(loop_id)
        while not loop.settled:
            loop = self.get(loop_id, wait=WAIT_S)
        return loop
