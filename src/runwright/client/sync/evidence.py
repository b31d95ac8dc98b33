# Generated from runwright/client/evidence.py by `make docs`; change that one instead.
"""Calls about evidence: bundles, the values of a run as files, and the keys that sign."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, Unpack
from urllib.parse import quote

import msgspec

from runwright.client.fields import PageOptions
from runwright.client.models import Record
from runwright.client.sync.artifacts import pieces
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport

RUNS = "/api/v1/runs"


class SigningKey(Record):
    """A public key that signs evidence; `key_id` is its fingerprint."""

    key_id: str = ""
    algorithm: str = ""
    public_key: str = ""
    since: datetime | None = None
    until: datetime | None = None


class SigningKeys(Record):
    """All keys that ever signed evidence of a server, the current one last."""

    keys: list[dict[str, Any]] = msgspec.field(default_factory=list)


class ValueFile(Record):
    """A value of a run as a file; `sha256` and `bytes` are of what is shown of it."""

    artifact_id: str = ""
    run_id: str = ""
    kind: str = ""
    key: str = ""
    media_type: str = ""
    bytes: int = 0
    sha256: str = ""
    redacted: bool = False
    href: str = ""
    created_at: datetime | None = None


class Evidence:
    """Export what happened, with the proof of it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def export(
        self,
        run_id: str,
        *,
        format: Literal["json", "zip"] = "zip",
        profile: Literal["full", "auditor", "public"] | None = None,
    ) -> Iterator[bytes]:
        """Yield the bytes of a run's evidence bundle; a download that is cut goes on.

        The zip can be verified without the server (`runwright evidence verify`, or the `verify.py` in it).
        """
        path, params = f"{_path(run_id)}/evidence", {"format": format, "profile": profile}
        yield from pieces(self._transport, path, params, f"application/{format}")

    def values(self, run_id: str, **options: Unpack[PageOptions]) -> Pages[ValueFile]:
        """Return what a run was given, gave and kept, oldest first."""
        return self._transport.pages(ValueFile, f"{_path(run_id)}/artifacts", options)

    def value(self, run_id: str, artifact_id: str) -> Iterator[bytes]:
        """Yield the JSON of a value, as it is shown."""
        path = f"{_path(run_id)}/artifacts/{quote(artifact_id, safe='')}"
        yield from pieces(self._transport, path, {}, "application/json")

    def keys(self) -> SigningKeys:
        """Return the public keys that sign evidence; needs no API key."""
        return self._transport.one(SigningKeys, "GET", "/.well-known/runwright-keys.json")

    def rotate_key(self) -> SigningKey:
        """Let a new key sign from now on."""
        return self._transport.one(SigningKey, "POST", "/v1/signing-keys/rotate")


def _path(run_id: str) -> str:
    return f"{RUNS}/{quote(run_id, safe='')}"
