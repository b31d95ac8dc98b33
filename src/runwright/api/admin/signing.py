"""The keys that sign evidence: everybody may read their public halves, and an admin makes a new one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api import instants
from runwright.api.context import PUBLIC, Call
from runwright.api.routing import Routes
from runwright.auth.signing_keys import PublicKey

routes = Routes("evidence")


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key; it signed from `since` on, until `until` if it is not the current one."""

    key_id: Annotated[str, Meta(description="The fingerprint: the SHA-256 of the key's 32 bytes, in hex.")]
    algorithm: str
    public_key: Annotated[str, Meta(description="In hex.")]
    since: str
    until: str | None


class SigningKeys(msgspec.Struct, frozen=True, kw_only=True):
    """All keys that ever signed here, the current one last."""

    keys: list[SigningKey]


@routes.get("/.well-known/runwright-keys.json", scope=PUBLIC, summary="Get the public keys that sign evidence")
async def get_signing_keys(call: Call) -> SigningKeys:
    """Return the public halves: note a fingerprint where the server cannot change it, and pin it when you verify."""
    return SigningKeys(keys=[_view(key) for key in (await call.services.evidence.keys.signer()).keys])


@routes.post("/v1/signing-keys/rotate", scope="admin", status=201, summary="Make a new key that signs evidence")
async def rotate_signing_key(call: Call) -> SigningKey:
    """Let a new key sign from now on; what the old ones signed goes on being verified with them."""
    return _view(await call.services.evidence.keys.rotate(call.actor))


def _view(key: PublicKey) -> SigningKey:
    return SigningKey(
        key_id=key.key_id,
        algorithm="ed25519",
        public_key=key.public_key.hex(),
        since=instants.text(key.since),
        until=None if key.until is None else instants.text(key.until),
    )
