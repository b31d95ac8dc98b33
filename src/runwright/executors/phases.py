"""Where the time of a request went, told by the hooks of httpcore2."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.clock import Clock
from runwright.outbound.guard import RESOLVED_US, NameUnresolved


class Phases(msgspec.Struct, frozen=True):
    """The phases of one request in µs; a connection that was used before has no `dns_us`, `tcp_us` and `tls_us`.

    `ttfb_us` runs from the connection to the head of the answer, `transfer_us` from there to the end of its body.
    """

    dns_us: int = 0
    tcp_us: int = 0
    tls_us: int = 0
    ttfb_us: int = 0
    transfer_us: int = 0


class Stopwatch:
    """Follows one request; `trace` is the hook that httpcore2 calls."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: dict[str, float] = {}
        self._spent: dict[str, int] = {}

    async def trace(self, name: str, info: dict[str, Any]) -> None:
        """Hear that something began, is complete or failed."""
        what, _, how = name.rpartition(".")
        if how == "started":
            self._begun[what] = self._clock.monotonic()
        elif what == "connection.connect_tcp":
            self._connected(self._since(what), info)
        elif what == "connection.start_tls":
            self._spent["tls_us"] = self._since(what)
        elif what == "http11.receive_response_headers":
            # From the moment the request was begun to be sent: an endpoint may think before all of it is there.
            self._spent["ttfb_us"] = self._since("http11.send_request_headers")
        elif what == "http11.receive_response_body":
            self._spent["transfer_us"] = self._since(what)

    def _connected(self, spent: int, info: dict[str, Any]) -> None:
        stream = info.get("return_value")
        if stream is not None:
            resolved = int(stream.get_extra_info(RESOLVED_US) or 0)
        else:
            resolved = spent if isinstance(info.get("exception"), NameUnresolved) else 0
        self._spent |= {"dns_us": resolved, "tcp_us": max(spent - resolved, 0)}

    def _since(self, what: str) -> int:
        begun = self._begun.get(what)
        return 0 if begun is None else max(int((self._clock.monotonic() - begun) * 1e6), 0)

    def phases(self) -> Phases:
        """Return what was measured so far."""
        return Phases(**self._spent)
