# Generated from runwright/client/tenancy.py by `make docs`; change that one instead.
"""Calls about who may do what: keys, organizations, projects, users."""

from typing import Any, Generic, Unpack
from urllib.parse import quote

from runwright.client.accounts import Key
from runwright.client.fields import KeyFields
from runwright.client.models import R
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport


class Keys:
    """Make and revoke API keys."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, **fields: Unpack[KeyFields]) -> Key:
        """Make a key; its `token` is in this answer and never again."""
        return self._transport.one(Key, "POST", "/v1/keys", body=fields)

    def list(self, *, limit: int | None = None) -> Pages[Key]:
        """Return the keys, without their tokens."""
        return self._transport.pages(Key, "/v1/keys", {"limit": limit})

    def get(self, key_id: str) -> Key:
        """Return a key, without its token."""
        return self._transport.one(Key, "GET", f"/v1/keys/{quote(key_id, safe='')}")

    def rotate(self, key_id: str, *, grace_s: float | None = None) -> Key:
        """Give a key a new token; the old one is valid for `grace_s` more seconds."""
        body = {} if grace_s is None else {"grace_s": grace_s}
        return self._transport.one(Key, "POST", f"/v1/keys/{quote(key_id, safe='')}/rotate", body=body)

    def revoke(self, key_id: str) -> None:
        """Revoke a key, at once."""
        self._transport.send("DELETE", f"/v1/keys/{quote(key_id, safe='')}")


class Collection(Generic[R]):
    """Things that can be created, listed, read and changed: organizations, projects, users."""

    def __init__(self, transport: Transport, kind: type[R], path: str) -> None:
        self._transport = transport
        self._kind = kind
        self._path = path

    def create(self, **fields: Any) -> R:
        """Create one."""
        return self._transport.one(self._kind, "POST", self._path, body=fields)

    def list(self, *, limit: int | None = None) -> Pages[R]:
        """Return those that the caller may see."""
        return self._transport.pages(self._kind, self._path, {"limit": limit})

    def get(self, ident: str) -> R:
        """Return one, by id or slug."""
        return self._transport.one(self._kind, "GET", f"{self._path}/{quote(ident, safe='')}")

    def update(self, ident: str, **fields: Any) -> R:
        """Change one."""
        return self._transport.one(self._kind, "PATCH", f"{self._path}/{quote(ident, safe='')}", body=fields)
