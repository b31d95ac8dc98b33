"""The audit log on the wire: `/v1/audit`, and whether it is whole."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.instants import Instant
from runwright.api.pages import Page, PageQuery, Window
from runwright.api.routing import Routes
from runwright.auth.trail import Head, Linked, Trail, Verdict
from runwright.errors import InvalidRequest
from runwright.store import audit

routes = Routes("audit")

Text256 = Annotated[str, Meta(min_length=1, max_length=256)]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, with all that its hash covers: `hash` = SHA-256(0x01 ‖ `prev_hash` ‖ header)."""

    id: str
    org_id: str
    number: int
    actor: str
    action: str
    target: str
    data: Any
    data_digest: str
    created_at: str
    prev_hash: str | None
    hash: str


class AuditQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of the audit log, all combinable."""

    actor: Annotated[Text256 | None, Meta(description="Who did it, such as `user:user_…`.")] = None
    action: Annotated[Text256 | None, Meta(description="What was done, such as `key.created`.")] = None
    target: Annotated[Text256 | None, Meta(description="The id of what it was done to.")] = None
    created_after: Instant | None = None
    created_before: Instant | None = None


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log ends: note it elsewhere, and give it to the next verification."""

    number: int
    hash: str


class AuditBreak(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry that does not belong to the chain, and what was done to it."""

    number: int
    what: Literal["edited", "dropped", "reordered", "added"]


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found; `whole` is false where an entry was edited, dropped, added or cut off."""

    org_id: str
    whole: bool
    verified: int
    head: AuditHead
    first_break: AuditBreak | None


class VerifyQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the caller knows of the log."""

    head: Annotated[
        str | None, Meta(description="A head that was noted before, as `NUMBER:HASH`: the log must hold it.")
    ] = None


@routes.get("/v1/audit", scope="audit:read", summary="List the audit log")
async def list_audit(call: Call, query: AuditQuery) -> Page[AuditEntry]:
    """List who changed what in the organization, newest first; a key bound to one project may not."""
    window = query.window(call.services.settings, order="desc")
    bound, wanted = _place(window, call.actor.org_id, _wanted(query))
    listed = await _trail(call).page(
        call.actor, wanted, bound=bound, limit=window.limit + 1, newest_first=window.newest_first
    )
    if listed.scanned_to is not None:
        edge = f"{call.actor.org_id}.{listed.scanned_to}"
        return Page([_view(linked) for linked in listed.entries], edge, partial=True)
    return Page.of(listed.entries, window, _view, lambda linked: _ident(linked.entry))


@routes.get("/v1/audit/verify", scope="audit:read", summary="Verify the audit log")
async def verify_audit(call: Call, query: VerifyQuery) -> AuditVerdict:
    """Walk the log from its first entry to its recorded head, and name the first entry that is not as it was."""
    known = None if query.head is None else _head(query.head)
    return _verdict(await _trail(call).verify(call.actor, known))


def _trail(call: Call) -> Trail:
    return Trail(call.services.engine.store, scan_budget=call.services.settings.scan_budget)


def _wanted(query: AuditQuery) -> dict[str, Any]:
    given = {
        "actor": query.actor,
        "action": query.action,
        "target": query.target,
        "since": None if query.created_after is None else instants.micros(query.created_after),
        "until": None if query.created_before is None else instants.micros(query.created_before),
    }
    return {name: value for name, value in given.items() if value is not None}


def _place(window: Window, org_id: str, wanted: dict[str, Any]) -> tuple[int | None, dict[str, Any]]:
    """Return the number beyond which a page lies, and the conditions with those of a cursor that is an instant."""
    if window.cursor is None:
        return None, wanted
    owner, _, number = window.cursor.rpartition(".")
    if owner == org_id and re.fullmatch("[0-9]{1,18}", number):
        return int(number), wanted
    at = window.instant()
    if window.newest_first:
        return None, {**wanted, "until": min(at, wanted.get("until", at))}
    return None, {**wanted, "since": max(at, wanted.get("since", at))}


def _head(text: str) -> Head:
    found = re.fullmatch("([0-9]{1,18}):([0-9a-f]{64})", text)
    if found is None:
        raise InvalidRequest.at("head", "must be NUMBER:HASH, as a verification told it")
    return Head(int(found[1]), bytes.fromhex(found[2]))


def _ident(entry: audit.Entry) -> str:
    return f"{entry.org_id}.{entry.number}"


def _view(linked: Linked) -> AuditEntry:
    entry = linked.entry
    return AuditEntry(
        id=_ident(entry),
        org_id=entry.org_id,
        number=entry.number,
        actor=entry.actor,
        action=entry.action,
        target=entry.target,
        data=msgspec.Raw(entry.data),
        data_digest=audit.digest(entry),
        created_at=instants.text(entry.created_at),
        prev_hash=None if linked.prev_hash is None else linked.prev_hash.hex(),
        hash=entry.hash.hex(),
    )


def _verdict(verdict: Verdict) -> AuditVerdict:
    broken = verdict.broken
    return AuditVerdict(
        org_id=verdict.org_id,
        whole=broken is None,
        verified=verdict.verified,
        head=AuditHead(number=verdict.head.number, hash=verdict.head.hash.hex()),
        first_break=None if broken is None else AuditBreak(number=broken.seq, what=broken.what),
    )
