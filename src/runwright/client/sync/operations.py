# Generated from runwright/client/operations.py by `make docs`; change that one instead.
"""Calls about the operation of a server: the audit log, statistics."""

from typing import Unpack

from runwright.client.accounts import AuditEntry, AuditVerdict
from runwright.client.fields import AuditFilters
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport


class Audit:
    """Read and verify the audit log of the organization."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, **filters: Unpack[AuditFilters]) -> Pages[AuditEntry]:
        """Return entries, newest first; `limit` is the size of a page."""
        return self._transport.pages(AuditEntry, "/v1/audit", filters)

    def verify(self, *, head: str | None = None) -> AuditVerdict:
        """Let the server walk its log; `head` (`NUMBER:HASH`), noted before, must be in it."""
        return self._transport.one(AuditVerdict, "GET", "/v1/audit/verify", params={"head": head})
