"""Ask a forge over HTTPS: by addresses that the guard has vetted, with its token, and within limits.

Redirects are not followed: a token goes to the origin that the settings name, and nowhere else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import httpcore2
import msgspec

from runwright.clock import Clock
from runwright.domain.addresses import read_url, url_problem
from runwright.domain.instants import SECOND_US
from runwright.forges.port import BUSY_S, Refused
from runwright.outbound.guard import AddressRefused, Guard, NameUnresolved, Resolver, resolve

USER_AGENT = f"Runwright/{version('runwright')}"
CONNECT_S = 10.0
ANSWER_MAX = 32 << 20
SAID_MAX = 300
WAIT_MAX_S = 3600


class Answer(NamedTuple):
    """What a forge answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the JSON of it. Raises `Refused`."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise Refused("FORGE_ERROR", "the forge answers something else than JSON", retryable=False) from None


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
        wait_s = self._wait_s(answer)
        said = _said(answer)
        if answer.status == 429 or (answer.status == 403 and wait_s is not None):
            return Refused(
                "FORGE_ERROR", f"{what}: the forge has had too many requests", retry_after_s=wait_s or BUSY_S
            )
        if answer.status >= 500:
            return Refused("FORGE_ERROR", f"{what}: the forge answers {answer.status}", retry_after_s=wait_s or BUSY_S)
        if answer.status in (401, 403):
            message = f"{what}: the forge does not let the project's token do it ({answer.status}){said}"
        elif answer.status == 404:
            message = f"{what}: there is no such repository, or the project's token may not see it (404)"
        else:
            message = f"{what}: the forge answers {answer.status}{said}"
        return Refused("FORGE_ERROR", message, retryable=False)

    def _wait_s(self, answer: Answer) -> int | None:
        """Return how long a forge asks to be left alone; None where it does not."""
        told = answer.headers.get("retry-after", "")
        if told.isdigit():
            return min(max(int(told), 1), WAIT_MAX_S)
        reset = answer.headers.get("x-ratelimit-reset") or answer.headers.get("ratelimit-reset") or ""
        left = answer.headers.get("x-ratelimit-remaining") or answer.headers.get("ratelimit-remaining")
        if left == "0" and reset.isdigit():
            return min(max(int(reset) - self._clock.now() // SECOND_US, 1), WAIT_MAX_S)
        return None


def _said(answer: Answer) -> str:
    """Return what a forge says of it, in plain text."""
    try:
        told = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return ""
    if not isinstance(told, dict):
        return ""
    parts = [told.get("message"), told.get("error")]
    parts += [each.get("message") if isinstance(each, dict) else each for each in told.get("errors") or []]
    text = "; ".join(str(part) for part in parts if part)
    return f": {''.join(each for each in text if each.isprintable())[:SAID_MAX]}" if text else ""
