"""Sign what is sent, as Standard Webhooks says: any of its libraries verifies it (standardwebhooks.com, version 1)."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32


def spelled(key: bytes) -> str:
    """Return the secret that a key is written as."""
    return SECRET_PREFIX + b64encode(key).decode()


def signature_headers(secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers; with several secrets (a rotation) each signs, and a receiver needs to know one.

    A receiver refuses a time stamp that is more than five minutes off, and may keep `webhook-id` against repetition.
    """
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
    signatures = [b64encode(hmac.digest(_key(secret), signed, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _key(secret: str) -> bytes:
    return b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
