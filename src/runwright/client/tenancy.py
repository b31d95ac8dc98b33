"""Calls about who may do what: keys, organizations, projects, users."""

from datetime import datetime
from typing import Any, Generic, Unpack
from urllib.parse import quote

from runwright.client.accounts import Key, Member, Ticket
from runwright.client.fields import KeyFields, PageOptions
from runwright.client.models import R
from runwright.client.pages import Pages
from runwright.client.transport import Transport


class Keys:
    """Make and revoke API keys."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, idempotency_key: str | None = None, **fields: Unpack[KeyFields]) -> Key:
        """Make a key; its `token` is in this answer and never again.

        So the request is not sent again after a cut: it would find the key, and not its token.
        """
        return await self._transport.made(Key, "/v1/keys", fields, idempotency_key, repeatable=False)

    def list(self, **page: Unpack[PageOptions]) -> Pages[Key]:
        """Return the keys, without their tokens."""
        return self._transport.pages(Key, "/v1/keys", page)

    async def get(self, key_id: str) -> Key:
        """Return a key, without its token."""
        return await self._transport.one(Key, "GET", f"/v1/keys/{quote(key_id, safe='')}")

    async def rotate(
        self,
        key_id: str,
        *,
        grace_s: float | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Key:
        """Replace a key by one with a new `token`; the old one is valid for `grace_s` more seconds.

        Like `create`, not sent again after a cut.
        """
        asked = {"grace_s": grace_s, "expires_at": expires_at}
        body = {name: value for name, value in asked.items() if value is not None}
        path = f"/v1/keys/{quote(key_id, safe='')}/rotate"
        return await self._transport.made(Key, path, body, idempotency_key, repeatable=False)

    async def revoke(self, key_id: str) -> Key:
        """Revoke a key, at once and for ever; doing it twice is doing it once."""
        return await self._transport.one(Key, "DELETE", f"/v1/keys/{quote(key_id, safe='')}", repeatable=True)


class Collection(Generic[R]):
    """Things that can be created, listed, read and changed: organizations, projects, users."""

    def __init__(self, transport: Transport, kind: type[R], path: str) -> None:
        self._transport = transport
        self._kind = kind
        self._path = path

    async def create(self, *, idempotency_key: str | None = None, **fields: Any) -> R:
        """Create one. What comes with a token, an organization, is not sent again after a cut: it is shown once."""
        repeatable = "token" not in self._kind.__struct_fields__
        return await self._transport.made(self._kind, self._path, fields, idempotency_key, repeatable=repeatable)

    def list(self, **page: Unpack[PageOptions]) -> Pages[R]:
        """Return those that the caller may see."""
        return self._transport.pages(self._kind, self._path, page)

    async def get(self, ident: str) -> R:
        """Return one, by id or slug."""
        return await self._transport.one(self._kind, "GET", f"{self._path}/{quote(ident, safe='')}")

    async def update(self, ident: str, **fields: Any) -> R:
        """Change one."""
        return await self._transport.one(self._kind, "PATCH", f"{self._path}/{quote(ident, safe='')}", body=fields)


class Members(Collection[Member]):
    """Give users roles, and take them away; `create` takes `user_id`, `role` and perhaps `project_id`."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport, Member, "/v1/members")

    async def remove(self, member_id: str) -> Member:
        """End a membership, at once."""
        return await self._transport.one(Member, "DELETE", f"{self._path}/{quote(member_id, safe='')}")


class Tickets:
    """Let a browser open a stream, which cannot send a header."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, path: str) -> Ticket:
        """Make a ticket for one path, such as `/v1/runs/run_…/events`."""
        return await self._transport.one(Ticket, "POST", "/v1/tickets", body={"path": path}, repeatable=True)
