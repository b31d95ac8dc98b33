"""Inspect every log: its chain, its signed heads, what erasure and retention left, and what other tables tell of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from runwright.domain import checkpoints, pruning, usage_pruning
from runwright.domain.chain import genesis, verify
from runwright.domain.erasure import ACTION, receipt
from runwright.domain.events import Event
from runwright.domain.evidence import SIGNED, SignedHead, unlike
from runwright.domain.ports import Sealer
from runwright.domain.run import Run
from runwright.domain.usage_pruning import forgotten
from runwright.store.inspected import BATCH, Finding, Progress, State, run_of
from runwright.store.queries import inspection as sql
from runwright.store.queries import usage as usage_sql
from runwright.store.seal_inspection import unopenable


async def inspect_logs(state: State, count: int, tell: Progress, sealer: Sealer | None) -> AsyncIterator[Finding]:
    """Find what is wrong with the logs of about `count` runs, and with what is kept beside them."""
    receipts = {target: msgspec.json.decode(data) for target, data in await state.fetch(sql.RECEIPTS, action=ACTION)}
    roots = {target for target, _ in await state.fetch(sql.RECEIPTS, action=pruning.ACTION)}
    spent = forgotten([(row[0], row[1]) for row in await state.fetch(sql.RECEIPTS, action=usage_pruning.ACTION)])
    signed = await _signed(state)
    after, done = "", 0
    while page := await state.fetch(sql.RUNS, after=after, limit=BATCH):
        span = {"first": page[0][0], "last": page[-1][0]}
        logs = _Logs(state, **span)
        asked = await _asked(state, **span)
        used = {run_id: tuple(sums) for run_id, *sums in await state.fetch(usage_sql.OF_RUNS, **span)}
        for run_id, root, erased_at, pruned_at, way, payload, result, opening, *standing in page:
            events = await logs.of(run_id)
            try:
                run = run_of(opening, standing)
                began = root or genesis(opening)
                broken = None
                if pruned_at is None:
                    broken = verify(began, (event.link() for event in events), run.hash)
                unproven = pruned_at is not None and (bool(events) or _root(run, began, way) not in roots)
                left = None if erased_at is None else _receipt(run, root, opening)
                unopened = unopenable(sealer, run, payload, {"result": result})
            except (TypeError, ValueError) as nonsense:  # bytes that were made texts, JSON that is none
                yield Finding("log", run_id, f"cannot be read: {nonsense}")
                continue
            if broken is not None:
                yield Finding("log", run_id, f"event {broken.seq} was {broken.what}")
            size = unlike(signed.get(run_id, ()), events) if pruned_at is None else None
            if broken is None and size is not None:
                yield Finding("log", run_id, f"its first {size} events are not those whose head was signed")
            if unproven:
                yield Finding("log", run_id, "what retention left is not what the audit log says")
            least = spent.get(run.spec.org_id, 0)
            gone = run_id not in used and run.finished_at is not None and run.finished_at < least
            if run.spec.speaks is not None and not gone and used.get(run_id, (0, 0, 0)) != _totals(run):
                yield Finding("usage", run_id, "its calls of models do not add up to its totals")
            told = [event for event in events if checkpoints.tells(event)]
            whole = all(event.data is not None for event in told)
            if whole and asked.get(run_id, {}) != checkpoints.fold(told):
                yield Finding("approvals", run_id, "the list of what it asked people is not what its log tells")
            if left is not None and receipts.get(run_id) != left:
                yield Finding("log", run_id, "what its erasure left is not what the audit log says")
            for finding in unopened:
                yield finding
        after, done = page[-1][0], done + len(page)
        tell("logs", done, max(count, done))


async def _asked(state: State, first: str, last: str) -> dict[str, dict[str, checkpoints.Checkpoint | None]]:
    """Return the approvals that are listed for each of a page of runs; None for a row that says nothing, or two."""
    found: dict[str, dict[str, checkpoints.Checkpoint | None]] = {}
    for run_id, checkpoint_id, status, row in await state.fetch(sql.APPROVALS, first=first, last=last):
        try:
            listed = checkpoints.read(row)
        except ValueError:
            listed = None
        found.setdefault(run_id, {})[checkpoint_id] = listed if listed and listed.status == status else None
    return found


async def _signed(state: State) -> dict[str, list[SignedHead]]:
    """Return the heads that were signed of each log."""
    found: dict[str, list[SignedHead]] = {}
    for target, data in await state.fetch(sql.RECEIPTS, action=SIGNED):
        found.setdefault(target, []).append(msgspec.json.decode(data, type=SignedHead))
    return found


class _Logs:
    """The events of a page of runs, run by run, read in batches."""

    def __init__(self, state: State, first: str, last: str) -> None:
        self._state = state
        self._span = {"first": first, "last": last}
        self._read: list[Event] = []
        self._place = (first, 0)
        self._whole = False

    async def of(self, run_id: str) -> list[Event]:
        """Return the events of the next run; those of runs that are not there are passed over."""
        found: list[Event] = []
        while True:
            for number, event in enumerate(self._read):
                if event.run_id > run_id:
                    del self._read[:number]
                    return found
                if event.run_id == run_id:
                    found.append(event)
            self._read = []
            if self._whole:
                return found
            run, seq = self._place
            page = await self._state.fetch(sql.EVENTS, **self._span, run_id=run, seq=seq, limit=BATCH * 4)
            self._read = [Event(*row) for row in page]
            self._whole = len(page) < BATCH * 4
            if page:
                self._place = (self._read[-1].run_id, self._read[-1].seq)


def _totals(run: Run) -> tuple[int, int, int]:
    return (run.usage.input_tokens, run.usage.output_tokens, run.usage.cost_microusd)


def _receipt(run: Run, root: bytes | None, opening: bytes) -> dict[str, Any]:
    return msgspec.structs.asdict(receipt(run.seq, run.hash, root or b"", opening))


def _root(run: Run, began: bytes, way: bytes | None) -> str:
    left = pruning.Remains(run.finished_at or 0, began.hex(), run.hash.hex(), run.run_id, run.seq, run.state)
    return pruning.root(left, way or b"")
