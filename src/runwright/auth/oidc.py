"""JWTs of the configured OIDC issuer (OpenID Connect Core 3.1.3.7, RFC 7519, RFC 8725).

A token is taken with a signature of RS256, ES256 or EdDSA by a key of the issuer, whose kind and not the token decides
the algorithm; with our audience; and between its `nbf` and its `exp`, `oidc_leeway_s` given to both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
from joserfc.errors import JoseError
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact

from runwright import telemetry
from runwright.auth.issuer_keys import Fetch, IssuerKeys
from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.instants import SECOND_US
from runwright.domain.tenancy import ROLES, Role
from runwright.errors import Unauthenticated

ALGORITHMS = ("RS256", "ES256", "EdDSA")
SUBJECT_MAX = 255

_FORM = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Identity(msgspec.Struct, frozen=True):
    """Who a token says that its bearer is; `role` is what its claims suggest, `expires_at` the token's end (µs)."""

    issuer: str
    subject: str
    name: str
    email: str | None
    role: Role | None
    expires_at: int


def looks_like_jwt(token: str) -> bool:
    """Tell whether a token has the form of a JWT, so that it is read as one and as nothing else."""
    return _FORM.fullmatch(token) is not None


class Oidc:
    """Read the tokens of the configured issuer."""

    def __init__(self, settings: Settings, clock: Clock, fetch: Fetch) -> None:
        assert settings.oidc_issuer is not None
        self.issuer = settings.oidc_issuer
        self.token_max_bytes = settings.oidc_token_max_bytes
        self.provisions = settings.oidc_provision
        self.organization = settings.oidc_organization
        self._audience = settings.oidc_audience
        self._leeway_us = round(settings.oidc_leeway_s * SECOND_US)
        self._name_claim = settings.oidc_name_claim
        self._role_claim = settings.oidc_role_claim
        self._roles = dict(pair.rsplit("=", 1) for pair in settings.oidc_roles)
        self._clock = clock
        self._keys = IssuerKeys(settings, clock, fetch)

    async def identify(self, token: str) -> Identity:
        """Return whose token this is. Raises `Unauthenticated` and reports why; the caller is not told."""
        try:
            signed = extract_compact(token.encode("ascii"), registry=_REGISTRY)
            header = signed.headers()
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in ALGORITHMS or not isinstance(kid, str | None):
                self._refuse(f"the algorithm {str(algorithm)[:32]!r} is not one of {', '.join(ALGORITHMS)}")
            key = await self._keys.find(kid, algorithm)
            if key is None:
                self._refuse(f"the issuer has no key {str(kid)[:128]!r} for {algorithm}")
            if not validate_compact(signed, key, registry=_REGISTRY):
                self._refuse("the signature is wrong")
            return self._read(_claims(signed))
        except (JoseError, ValueError, TypeError, RecursionError) as malformed:
            self._refuse(f"the token cannot be read: {type(malformed).__name__}")

    def _read(self, claims: Mapping[str, Any]) -> Identity:
        issuer, subject, expires_at = claims.get("iss"), claims.get("sub"), _instant(claims, "exp")
        audiences = claims.get("aud")
        if issuer != self.issuer:
            self._refuse(f"its issuer is {str(issuer)[:200]!r}, not {self.issuer!r}")
        if self._audience not in (audiences if isinstance(audiences, list) else [audiences]):
            self._refuse(f"its audience is {str(audiences)[:200]!r}, not {self._audience!r}")
        now = self._clock.now()
        if expires_at is None or now >= expires_at + self._leeway_us:
            self._refuse("it has expired")
        not_before = _instant(claims, "nbf")
        if not_before is not None and now < not_before - self._leeway_us:
            self._refuse("it is not valid yet; is this machine's clock right?")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_MAX or "\0" in subject:
            self._refuse(f"it names no subject of at most {SUBJECT_MAX} characters")
        return Identity(
            self.issuer,
            subject,
            _text(claims, self._name_claim) or subject,
            _text(claims, "email"),
            self._role(claims),
            expires_at + self._leeway_us,
        )

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        given = claims.get(self._role_claim) if self._role_claim is not None else None
        named = given if isinstance(given, list) else [given]
        suggested = {self._roles[each] for each in named if isinstance(each, str) and each in self._roles}
        return next((role for role in reversed(list(ROLES)) if role in suggested), None)

    def _refuse(self, reason: str) -> NoReturn:
        telemetry.report("oidc.refused", issuer=self.issuer, reason=reason)
        raise Unauthenticated


class _Registry(JWSRegistry):
    def get_alg(self, name: str) -> Any:
        # Not the library's own choice: that warns of EdDSA, whose new name (RFC 9864) few issuers use so far.
        if name not in ALGORITHMS:
            raise JoseError(f"{name} is not taken")
        return self.algorithms[name]


_REGISTRY = _Registry(strict_check_header=False)


def _claims(signed: CompactSignature) -> Mapping[str, Any]:
    return msgspec.json.decode(signed.payload or b"", type=dict[str, Any])


def _instant(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e12:
        raise ValueError(f"{name} is no instant")
    return round(value * SECOND_US)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value[:SUBJECT_MAX].replace("\0", "") or None if isinstance(value, str) else None
