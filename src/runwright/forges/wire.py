"""Ask a forge over HTTPS: by addresses that the guard has vetted, with its token, and within limits.

Redirects are not followed: a token goes to the origin that the settings name, and what is delivered to the repository
that people were asked about, and not to what has its name, or its place, by now.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from importlib.metadata import version

import httpcore2

from runwright.clock import Clock
from runwright.domain.addresses import read_url, url_problem
from runwright.forges.answers import Answer, refusal
from runwright.forges.port import Refused
from runwright.outbound.guard import AddressRefused, Guard, NameUnresolved, Resolver, resolve

USER_AGENT = f"Runwright/{version('runwright')}"
CONNECT_S = 10.0
ANSWER_MAX = 32 << 20


class Wire:
    """One pool of connections to one forge. To be closed."""

    def __init__(
        self,
        clock: Clock,
        *,
        allow_private: bool,
        timeout_s: float,
        resolver: Resolver = resolve,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=certificates or httpcore2.default_ssl_context(),
            max_keepalive_connections=0,
            network_backend=Guard(clock, allow_private=allow_private, resolver=resolver),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Return what a forge answers, whatever its status. Raises `Refused` where there is no answer."""
        problem = url_problem(url, allow_private=self._allow_private)
        if problem is not None:
            raise Refused("FORGE_ERROR", f"the address of the forge is not asked: it {problem}", retryable=False)
        to = read_url(url)
        told = {"Host": to.authority, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        if body is not None:
            told["Content-Length"] = str(len(body))
        request = httpcore2.Request(
            method,
            httpcore2.URL(scheme=to.scheme, host=to.host.strip("[]"), port=to.port, target=to.target),
            headers=list(told.items()),
            content=body,
            extensions={"timeout": {"connect": CONNECT_S, "pool": CONNECT_S}},
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._answered(request)
        except TimeoutError:
            raise Refused("FORGE_ERROR", f"{to.origin} did not answer within {self._timeout_s:g} s") from None
        except AddressRefused:
            message = f"{to.origin} is not public, and only public forges are asked (RUNWRIGHT_REPOSITORY_PRIVATE)"
            raise Refused("FORGE_ERROR", message, retryable=False) from None
        except NameUnresolved:
            raise Refused("FORGE_ERROR", f"{to.origin}: its name has no address") from None
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, OSError):
            raise Refused("FORGE_ERROR", f"{to.origin} could not be talked to") from None

    async def _answered(self, request: httpcore2.Request) -> Answer:
        response = await self._pool.handle_async_request(request)
        try:
            body = bytearray()
            async for part in response.aiter_stream():
                body += part
                if len(body) > ANSWER_MAX:
                    raise Refused("FORGE_ERROR", f"the forge answers more than {ANSWER_MAX} bytes", retryable=False)
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(response.status, headers, bytes(body))
        finally:
            await response.aclose()

    def refusal(self, answer: Answer, what: str) -> Refused:
        """Return why a forge does not do something."""
        return refusal(answer, what, self._clock.now())
