"""The one way of the SDKs to the network: a pool of connections under the guard, and a transport for each call."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from functools import cache
from importlib.metadata import version
from ssl import SSLContext
from typing import cast

import httpcore2
import httpx2

from runwright.agents.providers.patience import Patience
from runwright.domain.addresses import Url
from runwright.outbound.guard import AddressRefused

STAND_IN = "the-key-is-put-in-on-the-way-out"
"""What the SDKs hold for a key: they never know the real one, so that no error or log line of theirs can tell it."""

_OURS = {"user-agent": f"Runwright/{version('runwright')}", "accept-encoding": "identity"}
# The SDKs read headers, organizations and tokens of the server's own environment: a tenant's address gets none of them.
_LET_THROUGH = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-length", "content-type", "host"})


class AnswerTooLarge(Exception):
    """Say that an answer has more bytes than may be read. Never leaves the room."""


class AnswerEncoded(Exception):
    """Say that an answer came packed, though it was asked for as it is. Never leaves the room."""


@cache
def certificates() -> SSLContext:
    """Return the certificates that are trusted, read once."""
    return httpcore2.default_ssl_context()


class Wire(httpx2.AsyncBaseTransport):
    """Carries the one request of a call to the address that it is for, with the key, and counts what comes back."""

    def __init__(
        self,
        pool: httpcore2.AsyncConnectionPool,
        patience: Patience,
        *,
        to: Url | None,
        secret: str | None,
        connect_s: float,
        max_bytes: int,
    ) -> None:
        self._pool = pool
        self._patience = patience
        self._to = to
        self._secret = secret
        self._timeouts = {"connect": connect_s, "pool": connect_s}
        self._max_bytes = max_bytes
        self.sent = False
        """Whether the request may have reached the provider."""

    def client(self) -> httpx2.AsyncClient:
        """Return a client for an SDK: no redirects, no proxies, no times of its own."""
        return httpx2.AsyncClient(transport=self, trust_env=False, follow_redirects=False, timeout=None)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request and return the answer, its body still to come."""
        url, to = request.url, self._to
        if to is None or (url.scheme, url.raw_host, _port(url.port, url.scheme)) != (
            to.scheme,
            to.host.strip("[]").encode(),
            _port(to.port, to.scheme),
        ):
            raise AddressRefused("the request is not for the address of its call")
        response = await self._pool.handle_async_request(
            httpcore2.Request(
                request.method,
                httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=self._headers(request),
                content=request.stream,
                extensions={"timeout": self._timeouts, "trace": self._trace},
            )
        )
        self._patience.heard()
        packed = [value for name, value in response.headers if name.lower() == b"content-encoding"]
        if packed and packed != [b"identity"]:
            await response.aclose()
            raise AnswerEncoded
        body = _Body(response, self._patience, self._max_bytes)
        return httpx2.Response(response.status, headers=response.headers, stream=body, extensions=response.extensions)

    def _headers(self, request: httpx2.Request) -> list[tuple[str, str]]:
        headers = [(name, value) for name, value in request.headers.items() if name in _LET_THROUGH]
        if self._secret is not None:
            headers += [
                (name, value.replace(STAND_IN, self._secret))
                for name, value in request.headers.items()
                if STAND_IN in value
            ]
        return [*headers, *_OURS.items()]

    async def _trace(self, name: str, info: object) -> None:
        if name.endswith("send_request_headers.started"):
            self.sent = True


def _port(port: int | None, scheme: str) -> int:
    return port or (443 if scheme == "https" else 80)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response, patience: Patience, max_bytes: int) -> None:
        self._response = response
        self._patience = patience
        self._left = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Not `aiter_stream`, which may be begun once: an SDK reads on from where it stopped, to the end.
        async for part in cast("AsyncIterable[bytes]", self._response.stream):
            self._patience.heard()
            self._left -= len(part)
            if self._left < 0:
                raise AnswerTooLarge
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()
