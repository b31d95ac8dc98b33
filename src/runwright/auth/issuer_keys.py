"""The keys of an OIDC issuer: discovered, kept for a while, and looked up again when an unknown one is named.

They are asked for at most every `oidc_refetch_s`, whatever anybody sends, and believed for `oidc_keys_s` at the most:
an issuer that cannot be reached for so long lets nobody in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from runwright import telemetry
from runwright.clock import Clock
from runwright.config import Settings, is_safe_url

Fetch = Callable[[str], Awaitable[bytes]]

DISCOVERY = "/.well-known/openid-configuration"
_ALGORITHMS = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_RSA_LEAST_BITS = 2048  # RFC 7518, 3.3; a letter of base64 holds six


class IssuerKeys:
    """Find a key of one issuer by what a token's header says."""

    def __init__(self, settings: Settings, clock: Clock, fetch: Fetch) -> None:
        assert settings.oidc_issuer is not None
        self._issuer = settings.oidc_issuer
        self._source = settings.oidc_jwks
        self._refetch_s = settings.oidc_refetch_s
        self._keys_s = settings.oidc_keys_s
        self._clock = clock
        self._fetch = fetch
        self._keys: list[tuple[str | None, str, Key]] = []
        self._fetched: float | None = None
        self._asked: float | None = None
        self._turn = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key of this id that is good for this algorithm; without an id, the only one that is."""
        found = self._find(kid, algorithm)
        if found is None or self._age() * 2 > self._keys_s:
            await self._refresh()
            found = self._find(kid, algorithm)
        return found

    def _find(self, kid: str | None, algorithm: str) -> Key | None:
        if self._age() > self._keys_s:
            return None
        fitting = [key for its_id, use, key in self._keys if use == algorithm and kid in (None, its_id)]
        return fitting[0] if len(fitting) == 1 else None

    def _age(self) -> float:
        return self._keys_s * 2 if self._fetched is None else self._clock.monotonic() - self._fetched

    async def _refresh(self) -> None:
        async with self._turn:
            now = self._clock.monotonic()
            if self._asked is not None and now - self._asked < self._refetch_s:
                return
            self._asked = now
            try:
                self._keys = await self._load()
                self._fetched = now
            except (OSError, httpx2.HTTPError, httpx2.InvalidURL, msgspec.MsgspecError, ValueError) as failure:
                telemetry.report("oidc.keys_unavailable", issuer=self._issuer, error=str(failure)[:500])

    async def _load(self) -> list[tuple[str | None, str, Key]]:
        source = self._source
        if source is None:
            found = msgspec.json.decode(await self._fetch(self._issuer.rstrip("/") + DISCOVERY), type=_Discovered)
            if found.issuer != self._issuer:
                raise ValueError(f"the issuer calls itself {found.issuer!r}: set RUNWRIGHT_OIDC_ISSUER to exactly that")
            if not is_safe_url(found.jwks_uri):
                raise ValueError(f"the issuer's jwks_uri {found.jwks_uri!r} is not https")
            source = found.jwks_uri
        keys = msgspec.json.decode(await self._fetch(source), type=_KeySet).keys
        fitting = [each for each in map(_imported, keys) if each is not None]
        if not fitting:
            raise ValueError(f"{source} holds no signing key for RS256, ES256 or EdDSA")
        return fitting


class _Discovered(msgspec.Struct):
    issuer: str
    jwks_uri: str


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


def _imported(shown: Mapping[str, Any]) -> tuple[str | None, str, Key] | None:
    """Return id, algorithm and key; None for a key that is no signing key of ours, which others may need."""
    algorithm = _ALGORITHMS.get((str(shown.get("kty")), str(shown.get("crv", ""))))
    if algorithm is None or shown.get("use", "sig") != "sig" or shown.get("alg", algorithm) != algorithm:
        return None
    if algorithm == "RS256" and len(str(shown.get("n", ""))) * 6 < _RSA_LEAST_BITS:
        return None
    kid = shown.get("kid")
    public = {name: shown[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in shown}
    try:
        return kid if isinstance(kid, str) else None, algorithm, JWKRegistry.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def fetcher(settings: Settings) -> Fetch:
    """Return what reads an address or a file, of at most `oidc_document_max_bytes`; redirects are not followed."""
    most = settings.oidc_document_max_bytes

    async def fetch(source: str) -> bytes:
        if not source.startswith(("http://", "https://")):
            return await asyncio.to_thread(_read, Path(source), most)
        got = bytearray()
        async with (
            httpx2.AsyncClient(timeout=settings.oidc_timeout_s) as client,
            asyncio.timeout(settings.oidc_timeout_s),
            client.stream("GET", source) as response,
        ):
            if response.status_code != httpx2.codes.OK:
                raise ValueError(f"{source} answered {response.status_code}")
            async for part in response.aiter_bytes():
                got += part
                if len(got) > most:
                    raise ValueError(f"{source} is larger than {most} bytes")
        return bytes(got)

    return fetch


def _read(path: Path, most: int) -> bytes:
    with path.expanduser().open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path} is larger than {most} bytes")
    return content
