# Generated from runwright/client/operations.py by `make docs`; change that one instead.
"""Calls about the operation of a server: the audit log."""

from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from runwright.client.models import Record
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport


class AuditEntry(Record, kw_only=True):
    """An entry of the audit log: who did what to what."""

    id: str
    number: int
    actor: str = ""
    action: str = ""
    target: str = ""
    data: Any = None
    data_digest: str = ""
    org_id: str = ""
    prev_hash: str | None = None
    hash: str = ""
    created_at: datetime | None = None


class AuditVerdict(Record, kw_only=True):
    """What the verification of an audit log found; `first_break` names the first entry that is not as it was."""

    whole: bool
    verified: int = 0
    org_id: str = ""
    head: dict[str, Any] | None = None
    first_break: dict[str, Any] | None = None


class AuditFilters(TypedDict, total=False):
    """The filters of the audit log, all combinable."""

    actor: str
    action: str
    target: str
    created_after: datetime
    created_before: datetime
    order: Literal["asc", "desc"]


class Audit:
    """Read and verify the audit log of the organization."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None, **filters: Unpack[AuditFilters]) -> Pages[AuditEntry]:
        """Return entries, newest first; `limit` is the size of a page."""
        return self._transport.pages(AuditEntry, "/v1/audit", {**filters, "limit": limit})

    def verify(self, *, head: str | None = None) -> AuditVerdict:
        """Let the server walk its log; `head` (`NUMBER:HASH`), noted before, must be in it."""
        return self._transport.one(AuditVerdict, "GET", "/v1/audit/verify", params={"head": head})
