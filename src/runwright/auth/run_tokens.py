"""Run tokens: what a run's code proves itself with on `/sdk/v1`, `rwt_<run>_<epoch>_<signature>`.

A token names one lease and is signed; nothing of it is stored. It has no expiry of its own: whoever reads it compares
the epoch with that of the run's lease, so a token ends with its lease.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from typing import NamedTuple

from runwright.auth.tokens import TOKEN_MAX

PREFIX = "rwt_"
"""How every run token begins, and no other token."""

_TOKEN = re.compile(r"(rwt_([0-9a-f]{32})_([1-9][0-9]{0,17}))_([A-Za-z0-9_-]{43})")


class RunToken(NamedTuple):
    """The lease that a token was minted for."""

    run_id: str
    lease_epoch: int


class RunTokens:
    """Mint and read run tokens with the keyring's key for them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mint(self, run_id: str, lease_epoch: int) -> str:
        """Return the token of a lease: always the same one, so that a dispatch that is repeated sends it again."""
        claim = f"{PREFIX}{run_id.removeprefix('run_')}_{lease_epoch}"
        return f"{claim}_{self._signature(claim)}"

    def read(self, token: str) -> RunToken | None:
        """Return the lease of a token that was minted here, or None for anything else."""
        found = _TOKEN.fullmatch(token) if len(token) <= TOKEN_MAX else None
        # Compared as it is spelled: the last letter of a signature has spare bits, and no token has two spellings.
        if found is None or not hmac.compare_digest(found[4], self._signature(found[1])):
            return None
        return RunToken(f"run_{found[2]}", int(found[3]))

    def _signature(self, claim: str) -> str:
        signed = hmac.digest(self._key, claim.encode("ascii"), "sha256")
        return urlsafe_b64encode(signed)[:43].decode("ascii")
