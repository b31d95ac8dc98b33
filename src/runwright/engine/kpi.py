"""Keep the KPIs and read them: what ended runs add, out of the records of the commit; each run once, whoever folds it.

What a run adds is worked out when its record is settled, from its end and its log, which nothing changes any more. It
is kept as one row (so that every number leads to its runs) and added up in the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec
from msgspec.structs import replace

from runwright.clock import Clock
from runwright.domain import kpi
from runwright.domain.instants import DAY_US
from runwright.domain.kpi import Counted, Metric, Window
from runwright.domain.kpi_facts import NOTHING, Fact, Log, fact, read_log, wants_log
from runwright.domain.kpi_sums import WHOLE, WIDTHS, Place, Sums, fold, pieces
from runwright.domain.rollups import End, Moves
from runwright.domain.run import LIVE
from runwright.store.base import Readings, Row, Store, Transaction
from runwright.store.queries import kpi as sql
from runwright.store.queries.auth import PROJECT_IDS
from runwright.store.queries.rollups import DEPTHS_OF_ORGANIZATION, DEPTHS_OF_PROJECT

AT_ONCE = 32
"""So many sums are added up on the event loop; more go beside it: there may be one for each repository and hour."""
ENDS = {f"run.{state}": state for state in ("completed", "failed", "cancelled", "expired")}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: of an organization or one of its projects, when the windows end, and how many days each has."""

    org_id: str
    project_id: str | None
    as_of: int
    compare_days: int
    baseline_days: int
    group_by: str | None = None


class Group(msgspec.Struct, frozen=True):
    """The metrics of the runs with one label."""

    label: str
    runs: int
    metrics: list[Metric]


class Report(msgspec.Struct, frozen=True):
    """The answer. `history_from` is the hour in which counting began, None where nothing was counted."""

    compare: Window
    baseline: Window
    history_from: int | None
    metrics: list[Metric]
    groups: list[Group]
    groups_total: int


class Kpi:
    """Folds records of the commit into facts and sums, and adds sums up for readers."""

    def __init__(self, store: Store, clock: Clock, *, days: float = 800, groups_max: int = 1000) -> None:
        self._store = store
        self._clock = clock
        self._kept_us = int(days * DAY_US)
        self._groups_max = groups_max

    async def fold(self, tx: Transaction, records: Sequence[Moves]) -> None:
        """Add what records of the commit tell, in the transaction that settles them."""
        ends = [end for record in records for end in record.ends if end.run_id]
        facts = await _facts(tx, ends)
        for first in range(0, len(facts), sql.TOGETHER):
            part = facts[first : first + sql.TOGETHER]
            await tx.fetch(sql.insertion(len(part)), **sql.parameters(part))
        for place, added in fold(facts, (each for record in records for each in record.born)).items():
            await _add(tx, place, added)

    async def forget(self, tx: Transaction) -> None:
        """Remove what is older than it is kept."""
        before = tx.now - self._kept_us
        for (project_id,) in await tx.fetch(PROJECT_IDS):
            await tx.fetch(sql.FORGET_RUNS, project_id=project_id, before=before)
        for grain, width_us in WIDTHS.items():
            await tx.fetch(sql.FORGET_SUMS, grain=grain, before=before - width_us)

    async def report(self, order: Order) -> Report:
        """Return both windows, compared; with the groups of a label, those with most runs first."""
        compare, baseline = kpi.windows(order.as_of, order.compare_days, order.baseline_days)
        own = self._store.within(order.org_id)
        history_from = await self._history_from(own, order)
        now, before = [(await self._sums(own, order, WHOLE, each)).get(WHOLE, Sums()) for each in (compare, baseline)]
        later = await self._open(own, order, compare.until)
        earlier = later + now.ended - now.born
        counted = [
            Counted(window, sums, count if history_from is not None and history_from <= window.until else None)
            for window, sums, count in ((compare, now, later), (baseline, before, earlier))
        ]
        groups, total = await self._groups(own, order, (compare, baseline), history_from)
        metrics = kpi.compared(counted[0], counted[1], history_from)
        return Report(compare, baseline, history_from, metrics, groups, total)

    async def sums(self, order: Order, dimension: str, window: Window) -> Mapping[str, Sums]:
        """Return the sums of a window, by the labels of a dimension."""
        return await self._sums(self._store.within(order.org_id), order, dimension, window)

    async def runs(
        self,
        order: Order,
        window: Window,
        labels: Mapping[str, str],
        limit: int,
        *,
        beyond: tuple[int, str] | None = None,
        newest_first: bool = True,
    ) -> list[Fact]:
        """Return up to `limit` runs that ended in a window, by the instant of their end, `beyond` one of them."""
        project_id = order.project_id
        query = sql.listing(
            frozenset(labels), of_project=project_id is not None, beyond=beyond is not None, newest_first=newest_first
        )
        rows = await self._store.within(order.org_id).fetch(
            query,
            **({"org_id": order.org_id} if project_id is None else {"project_id": project_id}),
            **{f"label_{name}": label for name, label in labels.items()},
            **({} if beyond is None else {"bound_at": beyond[0], "bound_id": beyond[1]}),
            since=window.since,
            until=window.until,
            limit=limit,
        )
        return [sql.fact(row) for row in rows]

    async def _sums(self, own: Readings, order: Order, dimension: str, window: Window) -> dict[str, Sums]:
        found: dict[str, Sums] = {}
        for piece in pieces(window.since, window.until):
            named = _named(order, dimension, piece.grain)
            rows = await own.fetch(sql.SUMS, **named, since=piece.since, until=piece.until)
            if len(rows) > AT_ONCE:
                await asyncio.to_thread(_merge, found, rows)
            else:
                _merge(found, rows)
        return found

    async def _groups(
        self, own: Readings, order: Order, windows: tuple[Window, Window], history_from: int | None
    ) -> tuple[list[Group], int]:
        if order.group_by is None:
            return [], 0
        compare, baseline = [await self._sums(own, order, order.group_by, window) for window in windows]
        labels = sorted({*compare, *baseline})
        ended = {label: sum(each[label].ended for each in (compare, baseline) if label in each) for label in labels}
        shown = sorted(labels, key=lambda label: (-ended[label], label))[: self._groups_max]

        def group(label: str) -> Group:
            now, before = compare.get(label, Sums()), baseline.get(label, Sums())
            counted = Counted(windows[0], now), Counted(windows[1], before)
            return Group(label, ended[label], kpi.compared(*counted, history_from))

        return await asyncio.to_thread(lambda: [group(label) for label in shown]), len(labels)

    async def _history_from(self, own: Readings, order: Order) -> int | None:
        rows = await own.fetch(sql.FIRST_AT, **_named(order, WHOLE, "hour"), limit=1)
        return rows[0][0] if rows else None

    async def _open(self, own: Readings, order: Order, at: int) -> int:
        """Return how many runs were open at an instant: those that are, and those that ended since, but for the new."""
        later = await self._sums(own, order, WHOLE, Window(at, max(at, kpi.hour_after(self._clock.now()))))
        since = later.get(WHOLE, Sums())
        return await self._live(own, order) + since.ended - since.born

    async def _live(self, own: Readings, order: Order) -> int:
        if order.project_id is None:
            rows = await own.fetch(DEPTHS_OF_ORGANIZATION, org_id=order.org_id)
        else:
            rows = await own.fetch(DEPTHS_OF_PROJECT, org_id=order.org_id, project_id=order.project_id)
        return sum(count for state, count in rows if state in LIVE)


def _merge(found: dict[str, Sums], rows: Sequence[Row]) -> None:
    for label, stored in rows:
        found.setdefault(label, Sums()).merge(sql.decoded(stored))


def _named(order: Order, dimension: str, grain: str) -> dict[str, str]:
    return {
        "row_org_id": order.org_id,
        "row_project_id": order.project_id or WHOLE,
        "row_dimension": dimension,
        "row_grain": grain,
    }


async def _facts(tx: Transaction, ends: Sequence[End]) -> list[Fact]:
    """Return what runs add; of those whose logs may tell more, the logs are read, some runs at a time."""
    wanted = dict.fromkeys(end.run_id for end in ends if wants_log(end))
    wanted |= dict.fromkeys(name for end in ends if end.replay_of for name in (end.run_id, end.replay_of))
    logs = await _logs(tx, [*wanted])
    formers = await _formers(tx, [end.replay_of for end in ends if end.replay_of], logs)
    erased = await _erased(tx, [end.run_id for end in ends if end.repo is not None])
    known = [replace(end, repo=None) if end.run_id in erased else end for end in ends]
    return [fact(end, logs.get(end.run_id, NOTHING), formers.get(end.replay_of or "")) for end in known]


async def _erased(tx: Transaction, run_ids: Sequence[str]) -> set[str]:
    """Return the runs whose data were erased before they were counted; no other is erased until this is committed."""
    found: set[str] = set()
    for first in range(0, len(run_ids), sql.TOGETHER):
        part = run_ids[first : first + sql.TOGETHER]
        rows = await tx.fetch(sql.erased(len(part)), **sql.named(part))
        found |= {run_id for run_id, erased_at in rows if erased_at is not None}
    return found


async def _logs(tx: Transaction, run_ids: Sequence[str]) -> dict[str, Log]:
    found: dict[str, Log] = {}
    for first in range(0, len(run_ids), sql.TOGETHER):
        part = run_ids[first : first + sql.TOGETHER]
        told = [sql.event(row) for row in await tx.fetch(sql.told(len(part)), **sql.named(part))]
        found |= {run_id: read_log(events) for run_id, events in groupby(told, key=attrgetter("run_id"))}
    return found


async def _formers(tx: Transaction, run_ids: Iterable[str], logs: Mapping[str, Log]) -> dict[str, tuple[str, Log]]:
    """Return how the runs ended that others repeat; nothing for those whose logs are gone, or told no end yet."""
    found: dict[str, tuple[str, Log]] = {}
    for run_id in dict.fromkeys(run_ids):
        rows = await tx.fetch(sql.END_OF_LOG, run_id=run_id)
        if rows and rows[0][0] in ENDS and rows[0][1] is not None:
            found[run_id] = (ENDS[rows[0][0]], logs.get(run_id, NOTHING))
    return found


async def _add(tx: Transaction, place: Place, added: Sums) -> None:
    named = sql.place(place)
    rows = await tx.fetch(sql.SUMS_AT, **named)
    if not rows:
        await tx.fetch(sql.INSERT_SUMS, **msgspec.structs.asdict(place), sums=sql.encoded(added))
        return
    whole = sql.decoded(rows[0][0])
    whole.merge(added)
    await tx.fetch(sql.SET_SUMS, **named, sums=sql.encoded(whole))
