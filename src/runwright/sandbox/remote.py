"""Find a repository behind a web address, and be the way to it for a git that has no network.

Runwright asks first, through the guard of outgoing connections: is there a repository, and where is it really? Each
redirect is vetted like the address itself. Then git, in a sandbox without a network, talks to a relay, and the relay
to that one origin: by addresses that the guard has vetted, over TLS that Runwright checks. So git resolves no name, has
no certificate to believe and no credential to give, and whatever it is told, it reaches nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urljoin

import httpcore2

from runwright.clock import Clock
from runwright.domain.addresses import Url, read_url, url_problem
from runwright.outbound.guard import AddressRefused, Guard, NameUnresolved, Resolver, resolve
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.relay import URL

CONNECT_S = 10.0
ANSWER_S = 30.0
REDIRECTS_MAX = 5
ASKED = "/info/refs?service=git-upload-pack"
_PROMISED = "application/x-git-upload-pack-advertisement"
_MOVED = (301, 302, 303, 307, 308)
_HEADERS = [("User-Agent", "git/2 (Runwright)"), ("Accept", "*/*"), ("Git-Protocol", "version=2")]


class Way(NamedTuple):
    """The way to a repository: `inside` is its address in the sandbox."""

    origin: str
    inside: str


class Remotes:
    """Finds repositories, and connects to them; `allow_private` opens private networks."""

    def __init__(
        self,
        clock: Clock,
        *,
        allow_private: bool,
        resolver: Resolver = resolve,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._guard = Guard(clock, allow_private=allow_private, resolver=resolver)
        self._certificates = certificates or httpcore2.default_ssl_context()

    async def find(self, url: Url, authorization: str | None = None) -> tuple[Way, Url]:
        """Return the way to a repository, and where it was found. Raises `CheckoutRefused`.

        The `authorization` is shown to the origin of the address alone, not to where that sends on.
        """
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._certificates, max_keepalive_connections=0, network_backend=self._guard
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._found(pool, url, authorization)
        except TimeoutError:
            raise CheckoutRefused("repo.timeout", f"{url.origin} did not answer within {ANSWER_S:g} s") from None
        except AddressRefused:
            message = f"{url.origin} is not public, and only public addresses are fetched from"
            raise CheckoutRefused("repo.not_allowed", message) from None
        except NameUnresolved:
            raise CheckoutRefused("repo.unreachable", f"{url.origin}: its name has no address") from None
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, OSError):
            raise CheckoutRefused("repo.unreachable", f"{url.origin} could not be talked to") from None
        finally:
            await pool.aclose()

    async def _found(self, pool: httpcore2.AsyncConnectionPool, url: Url, authorization: str | None) -> tuple[Way, Url]:
        at = f"{url.origin}{_asked(url)}"
        for _ in range(REDIRECTS_MAX + 1):
            to = self._vetted(at)
            shown = authorization if to.origin == url.origin else None
            status, headers = await _head(pool, to, shown)
            if status not in _MOVED or not headers.get("location"):
                break
            at = _sent_on(to, headers["location"])
        else:
            raise CheckoutRefused("repo.not_found", f"{url.origin} sends it on more than {REDIRECTS_MAX} times")
        if status in (401, 403, 404, 410):
            who = "everybody" if authorization is None else "the project's token"
            message = f"there is no repository at {url.origin} under this path that {who} may read ({status})"
            raise CheckoutRefused("repo.not_found", message)
        if status >= 500 or status == 429:
            raise CheckoutRefused("repo.unreachable", f"{url.origin} answers {status}; try again later")
        if status != 200 or headers.get("content-type", "").partition(";")[0].strip() != _PROMISED:
            raise CheckoutRefused(
                "repo.not_found", f"what answers at {url.origin} under this path is no repository of git"
            )
        path = to.target.removesuffix(ASKED)
        return Way(to.origin, URL + path), to

    def _vetted(self, url: str) -> Url:
        problem = url_problem(url, allow_private=self._allow_private)
        if problem is not None:
            raise CheckoutRefused("repo.not_allowed", f"an address on the way to it is not fetched from: {problem}")
        return read_url(url)

    async def connect(self, to: Url) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to where a repository was found: to an address that was vetted just now. Raises `OSError`."""
        host, secure = to.host.strip("[]"), to.scheme == "https"
        port = to.port or (443 if secure else 80)
        try:
            addresses = await self._guard.vetted(host, port, CONNECT_S)
        except (httpcore2.NetworkError, httpcore2.TimeoutException) as refused:
            raise OSError(f"{to.origin} is not connected to") from refused
        for address in addresses:
            try:
                async with asyncio.timeout(CONNECT_S):
                    if not secure:
                        return await asyncio.open_connection(address, port)
                    return await asyncio.open_connection(address, port, ssl=self._certificates, server_hostname=host)
            except OSError:
                if address == addresses[-1]:
                    raise
        raise OSError(f"{to.origin} has no address")


async def _head(pool: httpcore2.AsyncConnectionPool, to: Url, authorization: str | None) -> tuple[int, dict[str, str]]:
    shown = [] if authorization is None else [("Authorization", authorization)]
    sent = httpcore2.Request(
        "GET",
        httpcore2.URL(scheme=to.scheme, host=to.host.strip("[]"), port=to.port, target=to.target),
        headers=[("Host", to.authority), *_HEADERS, *shown],
        extensions={"timeout": {"connect": CONNECT_S, "pool": CONNECT_S}},
    )
    response = await pool.handle_async_request(sent)
    try:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return response.status, headers
    finally:
        await response.aclose()


def _asked(url: Url) -> str:
    return url.target.partition("?")[0].rstrip("/") + ASKED


def _sent_on(at: Url, location: str) -> str:
    """Return where a question is sent on to: the same question, not in the clear. Raises `CheckoutRefused`."""
    try:
        url = urljoin(f"{at.origin}{at.target}", location).partition("#")[0]
        to = read_url(url)
    except ValueError:
        raise CheckoutRefused("repo.not_found", f"{at.origin} sends it on to what is no web address") from None
    if (at.scheme, to.scheme) == ("https", "http"):
        raise CheckoutRefused("repo.not_allowed", f"{at.origin} sends it on to {to.origin}, which is not encrypted")
    if not to.target.endswith(ASKED):
        raise CheckoutRefused("repo.not_found", f"{at.origin} sends it on to something else; is this a repository?")
    return url
