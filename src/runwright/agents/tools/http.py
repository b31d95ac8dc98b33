"""The tool `http`: one request to the world, through the guard of outgoing connections.

Every redirect is a request of its own: its address is vetted again, and it takes nothing along that was meant for
another host. No proxy, cookie or credential of the server is used. Faults name the origin, never the rest of a URL.
"""

from __future__ import annotations

import asyncio
import codecs
import ssl
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple
from urllib.parse import urljoin

import httpcore2

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.port import Fault, Result, Said, Scene
from runwright.clock import Clock
from runwright.domain.addresses import Url, read_url, url_problem
from runwright.domain.tools import Action, Ready, ToolSpec
from runwright.outbound.guard import AddressRefused, Guard, NameUnresolved, Resolver, resolve

REDIRECTS_MAX = 5
CONNECT_S = 10.0
HEADERS_MAX = 50
_OURS = frozenset({"accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"})
_OURS |= {"transfer-encoding", "upgrade"}
_SHOWN = ("content-type", "content-language", "date", "etag", "last-modified", "link", "location", "retry-after")
_MOVED, _REWRITTEN, SEE_OTHER = (301, 302, 303, 307, 308), (301, 302), 303
_ALONG = ("User-Agent", "Accept", "Accept-Encoding")
_CHARSETS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252", "iso-8859-15": "iso-8859-15"}
_SAFE = ("GET", "HEAD")
_METHODS = {
    "GET": Action("medium", "read_only", ("url",), ("headers",)),
    "HEAD": Action("medium", "read_only", ("url",), ("headers",)),
    "POST": Action("high", "unsafe", ("url",), ("headers", "body")),
    "PUT": Action("high", "idempotent", ("url",), ("headers", "body")),
    "PATCH": Action("high", "unsafe", ("url",), ("headers", "body")),
    "DELETE": Action("high", "idempotent", ("url",), ("headers", "body")),
}
_HEADER = {"type": "string", "maxLength": 8192, "pattern": r"^[\x20-\x7e]*$"}
_SCHEMA = {
    "type": "object",
    "properties": {
        "method": {"type": "string", "enum": list(_METHODS)},
        "url": {"type": "string", "maxLength": 2048, "description": "https://… or http://…"},
        "headers": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"},
            "additionalProperties": _HEADER,
            "maxProperties": HEADERS_MAX,
        },
        "body": {"type": "string", "maxLength": 1 << 20, "description": "What is sent; JSON as its text"},
    },
    "required": ["method", "url"],
    "additionalProperties": False,
}


class _Request(NamedTuple):
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class _Moved(NamedTuple):
    status: int
    location: str


class Refusal(Exception):
    """Say why a request is not made, or its answer not taken, by code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Http:
    """Sends requests over one pool of connections. To be closed."""

    spec = ToolSpec(
        name="http",
        description="Send an HTTP request to a public address and return the answer, if it is text.",
        schema=_SCHEMA,
        actions=_METHODS,
        by="method",
    )

    def __init__(
        self,
        clock: Clock,
        bounds: ToolBounds,
        *,
        resolver: Resolver = resolve,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self._bounds = bounds
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=certificates or httpcore2.default_ssl_context(),
            max_connections=bounds.http_connections,
            max_keepalive_connections=0,  # what a peer left behind on a connection is nobody's next answer
            network_backend=Guard(clock, allow_private=bounds.http_private, resolver=resolver),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Send the request, follow where it is sent on to, and return the answer."""
        asked = call.arguments
        refused = [name for name in asked.get("headers", {}) if name.lower() in _OURS or name.lower()[:6] == "proxy-"]
        if refused:
            return Fault("http.refused", f"the header {refused[0]} is not yours to set")
        try:
            async with asyncio.timeout(call.timeout_s):
                return await self._followed(_request(call, scene))
        except TimeoutError:
            return Fault("tool.timeout", f"there was no whole answer within {call.timeout_s:g} s")
        except Refusal as why:
            return Fault(why.code, str(why))

    async def _followed(self, request: _Request) -> Result:
        for _ in range(REDIRECTS_MAX + 1):
            to = self._vetted(request.url)
            answer = await self._once(request, to)
            if not isinstance(answer, _Moved):
                return answer
            request = _sent_on(request, to, answer)
        raise Refusal("http.redirects", f"it was sent on more than {REDIRECTS_MAX} times")

    def _vetted(self, url: str) -> Url:
        problem = url_problem(url, allow_private=self._bounds.http_private)
        if problem is None:
            return read_url(url)
        if url_problem(url, allow_private=True) is None:
            raise Refusal(
                "http.refused", f"{read_url(url).origin} is not public, and only public addresses are sent to"
            )
        raise Refusal("http.refused", f"the URL is not taken: it {problem.removeprefix('the URL ')}")

    async def _once(self, request: _Request, to: Url) -> Result | _Moved:
        """Return the answer to one request, or where it is sent on to."""
        headers = {**request.headers, "Host": to.authority}
        if request.method not in _SAFE:
            headers["Content-Length"] = str(len(request.body))
        sent = httpcore2.Request(
            request.method,
            httpcore2.URL(scheme=to.scheme, host=to.host.strip("[]"), port=to.port, target=to.target),
            headers=list(headers.items()),
            content=request.body,
            extensions={"timeout": {"connect": CONNECT_S, "pool": CONNECT_S}},
        )
        try:
            response = await self._pool.handle_async_request(sent)
            try:
                return await self._read(request, response)
            finally:
                await response.aclose()
        except (AddressRefused, NameUnresolved, httpcore2.TimeoutException, httpcore2.NetworkError) as failure:
            raise _failed(failure, to) from failure
        except (httpcore2.ProtocolError, OSError) as failure:
            raise Refusal("http.broken", f"{to.origin}: the answer broke off, or is none") from failure

    async def _read(self, request: _Request, response: httpcore2.Response) -> Result | _Moved:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in _MOVED and headers.get("location"):
            return _Moved(response.status, headers["location"])
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal("http.encoded", "the answer is compressed, though it was asked for as it is")
        body, cut = bytearray(), False
        async for part in response.aiter_stream():
            body += part
            if len(body) > self._bounds.output_max_bytes:
                del body[self._bounds.output_max_bytes :]
                cut = True
                break
        told: dict[str, Any] = {"status": response.status}
        told["headers"] = {name: headers[name] for name in _SHOWN if name in headers}
        told["body"] = _text(bytes(body), headers.get("content-type", ""), cut=cut)
        if told["body"] is None:
            told["binary_bytes"] = len(body)
        return Said(told, truncated=cut)


def _request(call: Ready, scene: Scene) -> _Request:
    asked = call.arguments
    ours = {"User-Agent": f"Runwright/{version('runwright')}", "Accept": "*/*", "Accept-Encoding": "identity"}
    if call.action not in _SAFE:
        ours["Idempotency-Key"] = scene.idempotency_key
        ours["Content-Type"] = "application/json" if _is_json(asked.get("body", "")) else "text/plain; charset=utf-8"
    theirs = asked.get("headers", {})
    said = {name.lower() for name in theirs}
    headers = {name: value for name, value in ours.items() if name.lower() not in said} | theirs
    return _Request(call.action, asked["url"], headers, asked.get("body", "").encode())


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "["}


def _sent_on(request: _Request, at: Url, moved: _Moved) -> _Request:
    """Return the request to where another was sent on to (RFC 9110, 15.4). Raises `Refusal`.

    To another origin nothing is taken along that the model wrote for this one.
    """
    try:
        url = urljoin(f"{at.origin}{at.target}", moved.location).partition("#")[0]
        to = read_url(url)
    except ValueError:
        raise Refusal("http.redirects", f"{at.origin} sends it on to what is no web address") from None
    if (at.scheme, to.scheme) == ("https", "http"):
        raise Refusal("http.redirects", f"{at.origin} sends it on to {to.origin}, which is not encrypted")
    method, body = request.method, request.body
    if moved.status == SEE_OTHER or (moved.status in _REWRITTEN and method == "POST"):
        method, body = "HEAD" if method == "HEAD" else "GET", b""
    if to.origin == at.origin:
        return _Request(method, url, request.headers, body)
    if method not in _SAFE:
        raise Refusal("http.redirects", f"{at.origin} sends it on to {to.origin}; ask there yourself if you mean to")
    headers = {name: value for name, value in request.headers.items() if name in _ALONG}
    return _Request(method, url, headers, body)


def _failed(failure: Exception, to: Url) -> Refusal:
    if isinstance(failure, AddressRefused):
        return Refusal("http.refused", f"{to.origin} is not public, and only public addresses are sent to")
    if isinstance(failure, NameUnresolved):
        return Refusal("http.unreached", f"{to.origin}: its name has no address")
    if isinstance(failure, httpcore2.ConnectError | httpcore2.ConnectTimeout | httpcore2.PoolTimeout):
        return Refusal("http.unreached", f"{to.origin} could not be connected to")
    return Refusal("http.broken", f"{to.origin}: the connection was cut")


def _text(body: bytes, media_type: str, *, cut: bool) -> str | None:
    """Return a body as text; None for one that is none."""
    if b"\0" in body:
        return None
    named = media_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    try:
        return codecs.getincrementaldecoder(_CHARSETS.get(named, "utf-8"))().decode(body, final=not cut)
    except UnicodeDecodeError:
        return None
