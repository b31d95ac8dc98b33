"""Export the evidence of a run: its log with its proofs, what became of it, and its values, as one signed bundle.

A run that has ended gives the same bytes each time, until its data are erased, a key is rotated, something is audited
of it, or a secret becomes known that its log holds. One that goes on gives what there is: a prefix, with a signed head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal

from runwright.auth.signing_keys import SigningKeys
from runwright.domain.chain import genesis
from runwright.domain.events import Event
from runwright.domain.evidence import EXPORTED, Profile
from runwright.domain.tenancy import Actor
from runwright.engine.engine import Engine
from runwright.engine.reader import Reader, require_log
from runwright.errors import Denied, Overloaded, StoreError, TooLarge
from runwright.governance.contents import Contents
from runwright.governance.heads import Heads
from runwright.governance.packing import Bundle, Packer
from runwright.governance.recordings import PAGE as RECORDING_PAGE
from runwright.store import audit
from runwright.store.base import Record, Transaction
from runwright.store.queries.evidence import BEGINNING
from runwright.telemetry import observe, report

SCOPE = "evidence:export"
"""What a caller needs for what tells more than the profile `public`."""
PAGE = 2000
VERSION = version("runwright")

Form = Literal["json", "zip"]


class Evidence:
    """Makes bundles; `keys` sign them. So many at a time, of so many bytes, as the settings say."""

    def __init__(self, engine: Engine, keys: SigningKeys) -> None:
        self._engine = engine
        self._store = engine.store
        self.keys = keys
        self._heads = Heads(engine.store, engine.clock)
        self._under_way = 0

    async def export(self, actor: Actor, run_id: str, profile: Profile, form: Form) -> Bundle:
        """Return the bundle of a run: close it when it was read.

        Raises `NotFound`, `Denied` for a profile that is not the caller's, `Gone` for a run of which retention left the
        summary alone, `TooLarge`, `Overloaded`, and `StoreError` where the log is broken, or cannot be redacted.
        """
        reader = self._engine.reader(actor)
        record = await reader.run(run_id)
        require_log(record)
        if profile != "public" and not actor.allows(SCOPE):
            raise Denied(
                f"the profile {profile} needs the scope {SCOPE}; profile=public does not",
                code="evidence.profile_forbidden",
                data={"scope": SCOPE, "profile": profile},
            )
        began = self._engine.clock.monotonic()
        try:
            bundle = await self._in_turn(actor, reader, record, profile, form)
        except (StoreError, TooLarge, Overloaded) as refused:
            report("evidence.refused", run_id=run_id, code=refused.code)
            raise
        seconds = self._engine.clock.monotonic() - began
        observe("evidence.exported", profile=profile, form=form, seconds=seconds, bytes=bundle.size)
        return bundle

    async def _in_turn(self, actor: Actor, reader: Reader, record: Record, profile: Profile, form: Form) -> Bundle:
        if self._under_way >= self._engine.settings.evidence_exports_max:
            raise Overloaded("too many bundles are being made; ask again in a moment", code="evidence.busy")
        self._under_way += 1
        try:
            return await self._made(actor, reader, record, profile, form)
        finally:
            self._under_way -= 1

    async def _made(self, actor: Actor, reader: Reader, record: Record, profile: Profile, form: Form) -> Bundle:
        packer = Packer(self._engine.settings.evidence_max_bytes)
        try:
            contents = await self._filled(actor, reader, record, profile, packer)
            bundle = contents.zipped() if form == "zip" else contents.as_json()
            await self._tell(actor, record.run.run_id, {"profile": profile, "format": form, "seq": record.run.seq})
        except BaseException:
            packer.close()
            raise
        return bundle

    async def _filled(self, actor: Actor, reader: Reader, record: Record, profile: Profile, packer: Packer) -> Contents:
        run = record.run
        rows = await self._store.within(actor.org_id).fetch(BEGINNING, run_id=run.run_id)
        opening, root = rows[0]
        redactor = self._engine.vault.redactors.of(run.spec.project_id)
        contents = Contents(record, root or genesis(opening), profile, redactor, packer, VERSION)
        packer.begin("timeline.ndjson")
        while contents.log.tree.size < run.seq:
            page = await reader.events(run.run_id, contents.log.tree.size, min(PAGE, run.seq - contents.log.tree.size))
            await asyncio.to_thread(_take, contents, page)
        packer.end()
        if contents.log.hash != run.hash:
            raise _broken(run.run_id, run.seq)
        if contents.printed:
            packer.begin("terminal/run.cast")
            packer.write(contents.cast.head())
            async for event in reader.terminal(run.run_id, RECORDING_PAGE):
                contents.terminal(event)
            packer.end()
        await self._values(reader, record, contents)
        signer = await self.keys.signer()
        tree = contents.log.tree
        head = await self._heads.of(actor, signer, run.run_id, tree.size, tree.root, contents.log.hash)
        contents.close(head, await self._heads.entries(actor.org_id, run.run_id), signer)
        return contents

    async def _values(self, reader: Reader, record: Record, contents: Contents) -> None:
        """Put what the run was given, gave and kept into the bundle, as readers see it."""
        if contents.profile == "public" or not record.has_data:
            return
        most, there = self._engine.settings.evidence_artifacts_max, await reader.kept.count(record)
        if there > most:
            raise TooLarge(
                f"the run has {there} values, a bundle holds at most {most} (RUNWRIGHT_EVIDENCE_ARTIFACTS_MAX);"
                " profile=public leaves them out",
                code="evidence.too_large",
            )
        async for value in reader.kept.all(record):
            contents.value(value)

    async def _tell(self, actor: Actor, run_id: str, data: dict[str, Any]) -> None:
        async def work(tx: Transaction) -> None:
            await audit.append(tx, actor.org_id, actor.label, EXPORTED, run_id, data)

        await self._store.write(work)


def _take(contents: Contents, page: Sequence[Event]) -> None:
    """Write a page of events, off the event loop. Raises `StoreError`."""
    if not page or not contents.events(page):
        raise _broken(contents.log.run_id, contents.log.tree.size + 1)


def _broken(run_id: str, seq: int) -> StoreError:
    return StoreError(
        f"the log of {run_id} is not whole at event {seq}: there is nothing to sign; see `runwright db check`",
        code="evidence.log_broken",
    )
