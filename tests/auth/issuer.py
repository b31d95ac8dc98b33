"""An OIDC issuer of the tests: real keys, real signatures, and the documents that it publishes."""

from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from runwright import config
from runwright.auth.oidc import Oidc
from runwright.clock import Clock

ISSUER = "https://login.example.com/realm"
AUDIENCE = "runwright"


class Issuer:
    """Sign tokens, and answer what an issuer answers; `asked` counts who came for what."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.keys: dict[str, Key] = {"rsa": rsa("rsa")}
        self.others: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.away = False
        self.discovery: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}

    async def fetch(self, source: str) -> bytes:
        self.asked.append(source)
        if self.away:
            raise OSError("no route to host")
        if source.endswith("/.well-known/openid-configuration"):
            return msgspec.json.encode(self.discovery)
        return self.jwks()

    def jwks(self) -> bytes:
        """Return the public keys as they are published."""
        return msgspec.json.encode(
            {"keys": [*self.others, *(key.as_dict(private=False) for key in self.keys.values())]}
        )

    def oidc(self, **settings: Any) -> Oidc:
        """Return the reader of this issuer's tokens."""
        given = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, **settings}
        return Oidc(config.load({}, overrides=given), self.clock, self.fetch)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return what a token says; a claim that is changed to None is left out."""
        now = self.clock.now() // 1_000_000
        whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now + 600, "iat": now, **changed}
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, kid: str = "rsa", header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token signed by one of the keys."""
        return signed(self.keys[kid], {"kid": kid, **(header or {})}, self.claims(**claims))


ALGORITHM = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA", "oct": "HS256"}


class Anything(JWSRegistry):
    """Sign with whatever algorithm the header says."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


def signed(key: Key, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Return a token with this header and these claims."""
    header = {"alg": ALGORITHM[key.key_type], **header}
    return jwt.encode(header, claims, key, registry=Anything(strict_check_header=False))


def rsa(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


def ec(kid: str, curve: str = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": kid})


def okp(kid: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": kid})


def secret(kid: str, value: bytes) -> OctKey:
    return OctKey.import_key(value, {"kid": kid})
