"""Send one request to an endpoint and read its answer, within limits; whatever goes wrong is a `Fault`.

Redirects are not followed, proxies of the environment are not asked, certificates are verified. Bodies are asked for as
they are (`Accept-Encoding: identity`), so that a small answer cannot unpack to a large one.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

import httpcore2
import msgspec

from runwright.clock import Clock
from runwright.domain.addresses import read_url
from runwright.executors.phases import Phases, Stopwatch
from runwright.outbound.guard import AddressRefused, Guard, Line, NameUnresolved, Resolver, resolve
from runwright.telemetry import observe

USER_AGENT = f"Runwright/{version('runwright')}"
_ASKED = {"User-Agent": USER_AGENT, "Accept": "application/json, */*;q=0.5", "Accept-Encoding": "identity"}

_REASON_MAX = 200


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of dispatch; the settings `dispatch_*` give them."""

    connections: int = 100
    keepalive_s: float = 4.0
    connect_s: float = 10.0
    body_s: float = 60.0
    body_max_bytes: int = 1 << 20


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint answered; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    phases: Phases


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer. `unreached`: the request cannot have begun to act, as nothing of it arrived."""

    error_class: str
    code: str
    message: str
    retryable: bool
    unreached: bool
    phases: Phases


@cache
def _certificates() -> ssl.SSLContext:
    return httpcore2.default_ssl_context()


class Dispatcher:
    """Posts to endpoints over one pool of connections. To be closed."""

    def __init__(
        self,
        clock: Clock,
        bounds: Bounds,
        *,
        allow_private: bool,
        resolver: Resolver = resolve,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._bounds = bounds
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=certificates or _certificates(),
            max_connections=bounds.connections,
            keepalive_expiry=bounds.keepalive_s,
            network_backend=Guard(clock, allow_private=allow_private, resolver=resolver),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer | Fault:
        """Post a JSON body and return the answer, or why there is none; how long to wait for it is the caller's."""
        sent = dict(headers)
        observe("dispatch.began", url=url, headers=sent)  # tracing puts its own `traceparent` there
        status, code, phases = None, None, None
        try:
            told = await self._post(url, sent, body)
            phases = told.phases
            status, code = (told.status, None) if isinstance(told, Answer) else (None, told.code)
            return told
        finally:
            observe("dispatch.ended", status=status, code=code, phases=phases)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer | Fault:
        watch = Stopwatch(self._clock)
        to = read_url(url)
        own = {"Host": to.authority, "Content-Type": "application/json", "Content-Length": str(len(body))}
        request = httpcore2.Request(
            "POST",
            httpcore2.URL(scheme=to.scheme, host=to.host.strip("[]"), port=to.port, target=to.target),
            headers=[*(_ASKED | dict(headers) | own).items()],
            content=body,
            extensions={
                "timeout": {"connect": self._bounds.connect_s, "pool": self._bounds.connect_s},
                "trace": watch.trace,
            },
        )
        try:
            response = await self._pool.handle_async_request(request)
            try:
                return await self._read(response, watch)
            finally:
                await response.aclose()
        except _FAILURES as failure:
            return _fault(failure, to.origin, watch.phases())

    async def _read(self, response: httpcore2.Response, watch: Stopwatch) -> Answer | Fault:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        bounds = self._bounds
        encoding = headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            return _refused(
                _ENCODED, f"the answer is encoded as {encoding[:40]}, though it was asked for as it is", watch
            )
        too_large = f"the answer has more than {bounds.body_max_bytes} bytes (RUNWRIGHT_DISPATCH_BODY_MAX_BYTES)"
        length = None if "transfer-encoding" in headers else headers.get("content-length")
        if length is not None and int(length) > bounds.body_max_bytes:
            return _refused(_TOO_LARGE, too_large, watch)
        body = bytearray()
        try:
            async with asyncio.timeout(bounds.body_s):
                async for part in response.aiter_stream():
                    body += part
                    if len(body) > bounds.body_max_bytes:
                        return _refused(_TOO_LARGE, too_large, watch)
        except TimeoutError:
            took = f"the body of the answer took longer than {bounds.body_s:g} s (RUNWRIGHT_DISPATCH_BODY_S)"
            return _refused(_TOO_SLOW, took, watch)
        line = response.extensions["network_stream"]
        if isinstance(line, Line):
            line.settle(0 if response.status in {204, 304} else None if length is None else int(length))
        return Answer(status=response.status, headers=headers, body=bytes(body), phases=watch.phases())


class _Kind(msgspec.Struct, frozen=True):
    """A way of going wrong: its class and code, and what follows from it."""

    error_class: str
    code: str
    retryable: bool = True
    unreached: bool = False


_ENCODED = _Kind("AnswerEncoded", "dispatch.answer_encoded", retryable=False)
_TOO_LARGE = _Kind("AnswerTooLarge", "dispatch.answer_too_large", retryable=False)
_TOO_SLOW = _Kind("AnswerTooSlow", "dispatch.answer_too_slow")
_BROKEN = _Kind("AnswerBroken", "dispatch.answer_broken")

_KINDS: tuple[tuple[type[Exception], _Kind, str], ...] = (
    (AddressRefused, _Kind("EndpointRefused", "dispatch.address_refused", retryable=False, unreached=True), ""),
    (NameUnresolved, _Kind("NameUnresolved", "dispatch.name_unresolved", unreached=True), ""),
    (
        httpcore2.PoolTimeout,
        _Kind("NoConnection", "dispatch.no_connection", unreached=True),
        "no connection was free (RUNWRIGHT_DISPATCH_CONNECTIONS)",
    ),
    (
        httpcore2.ConnectTimeout,
        _Kind("ConnectTimeout", "dispatch.connect_timeout", unreached=True),
        "not connected in time",
    ),
    (httpcore2.ConnectError, _Kind("ConnectionFailed", "dispatch.connection_failed", unreached=True), ""),
    (httpcore2.LocalProtocolError, _Kind("RequestInvalid", "dispatch.request_invalid", retryable=False), ""),
    (httpcore2.RemoteProtocolError, _BROKEN, ""),
    (httpcore2.NetworkError, _BROKEN, "the connection was cut"),
    (httpcore2.TimeoutException, _BROKEN, "the connection stood still"),
    (OSError, _BROKEN, "the connection was cut"),  # of TLS, in the middle of an answer
)
_FAILURES = tuple(kind for kind, _, _ in _KINDS)


def _refused(kind: _Kind, message: str, watch: Stopwatch) -> Fault:
    return Fault(message=message, phases=watch.phases(), **msgspec.structs.asdict(kind))


def _fault(failure: Exception, origin: str, phases: Phases) -> Fault:
    kind, said = next((kind, said) for type_, kind, said in _KINDS if isinstance(failure, type_))
    reason = said or _reason(failure)
    return Fault(message=f"{origin}: {reason}", phases=phases, **msgspec.structs.asdict(kind))


def _reason(failure: BaseException) -> str:
    """Return what the system said at the bottom of a failure, else what the failure says."""
    reason = str(failure)
    deeper = next((arg for arg in failure.args if isinstance(arg, BaseException)), None)  # the pool drops the cause
    while deeper is not None:
        if isinstance(deeper, BaseExceptionGroup):
            deeper = deeper.exceptions[0]
        if isinstance(deeper, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {deeper.verify_message}"
        if isinstance(deeper, ssl.SSLError):
            return f"TLS failed: {deeper.reason or deeper}"
        if isinstance(deeper, OSError) and deeper.errno is not None and deeper.errno > 0:
            reason = os.strerror(deeper.errno)
        deeper = deeper.__cause__
    return reason[:_REASON_MAX]
