"""Sign what a log is: each head once, kept in the audit log, so that a later log must begin with what was signed."""

from __future__ import annotations

import msgspec

from runwright.auth.signing_keys import Signer
from runwright.clock import Clock
from runwright.domain.evidence import EXPORTED, SIGNED, SignedHead, TreeHead, signed_head
from runwright.domain.tenancy import Actor
from runwright.store import audit
from runwright.store.audit import Entry
from runwright.store.base import Readings, Row, Store, Transaction
from runwright.store.queries.evidence import ENTRIES

_read = msgspec.json.Decoder(SignedHead).decode


class Heads:
    """The signed heads of runs. Of one size there is one, whoever asks and how often."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def entries(self, org_id: str, run_id: str) -> list[tuple[Entry, bytes | None]]:
        """Return what the audit log says of a run, but that it was exported; each with the hash before it."""
        return _entries(await self._store.within(org_id).fetch(ENTRIES, org_id=org_id, target=run_id, but=EXPORTED))

    async def of(self, actor: Actor, signer: Signer, run_id: str, size: int, root: bytes, head: bytes) -> SignedHead:
        """Return the signed head of a log of this size, signed now unless it was before."""
        org_id = actor.org_id
        found = await self._found(self._store.within(org_id), org_id, run_id, size)
        if found is not None:
            return found
        told = TreeHead(head.hex(), root.hex(), run_id, self._clock.now(), size)
        signature = signer.sign(signed_head(told)).hex()
        made = SignedHead(size, told.root, told.head, told.signed_at, signer.key_id, signature)

        async def work(tx: Transaction) -> SignedHead:
            await audit.lock(tx, org_id)
            other = await self._found(tx, org_id, run_id, size)
            if other is None:
                await audit.append(tx, org_id, actor.label, SIGNED, run_id, msgspec.structs.asdict(made))
            return other or made

        return await self._store.write(work)

    async def _found(self, readings: Readings | Transaction, org_id: str, run_id: str, size: int) -> SignedHead | None:
        rows = await readings.fetch(ENTRIES, org_id=org_id, target=run_id, but=EXPORTED)
        return next((head for head in signed(_entries(rows)) if head.size == size), None)


def signed(entries: list[tuple[Entry, bytes | None]]) -> list[SignedHead]:
    """Return the heads that entries hold, the first signed first."""
    return [_read(entry.data) for entry, _ in entries if entry.action == SIGNED]


def _entries(rows: list[Row]) -> list[tuple[Entry, bytes | None]]:
    found = [(Entry(*row[:-1]), row[-1]) for row in rows]
    return [(entry, audit.genesis(entry.org_id) if entry.number == 1 else before) for entry, before in found]
