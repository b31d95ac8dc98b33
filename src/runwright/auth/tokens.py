"""API tokens: `rw_<prefix>_<secret>`, shown once; only the prefix and an HMAC are stored."""

from __future__ import annotations

import hmac
import re
import secrets

import msgspec

from runwright.errors import InvalidSettings

TOKEN_MAX = 256
OWN_TOKEN_MIN = 16
PREFIX_DIGITS = 12

_TOKEN = re.compile(r"rw_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


class Credential(msgspec.Struct, frozen=True):
    """What the store keeps of a token: where to look it up, and what to compare it with."""

    prefix: str
    digest: bytes


def new_token() -> str:
    """Make a token: 48 random bits to find it by, 256 to prove it with."""
    return f"rw_{secrets.token_hex(PREFIX_DIGITS // 2)}_{secrets.token_urlsafe(32)}"


def credential(token: str, pepper: bytes) -> Credential:
    """Return what is stored of a token; a token of another form than ours is found by a part of its HMAC."""
    encoded = token.encode("utf-8", "surrogatepass")
    own = _TOKEN.fullmatch(token)
    prefix = own[1] if own else hmac.digest(pepper, b"prefix\0" + encoded, "sha256").hex()[:PREFIX_DIGITS]
    return Credential(prefix, hmac.digest(pepper, encoded, "sha256"))


def check_own_token(token: str) -> str:
    """Return the operator's own token. Raises `InvalidSettings` when it is too short to be a secret."""
    if len(token) < OWN_TOKEN_MIN or len(token) > TOKEN_MAX:
        raise InvalidSettings.at("RUNWRIGHT_API_KEY", f"must have {OWN_TOKEN_MIN} to {TOKEN_MAX} characters")
    return token
