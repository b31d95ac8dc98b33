"""Read a stopped server's database as an auditor would: every run, its whole log, and whether the chain holds."""

from typing import NamedTuple

import msgspec

from runwright.clock import SystemClock
from runwright.domain.chain import genesis, verify
from runwright.domain.events import TERMINAL_TYPES, Created, Event
from runwright.domain.fold import fold
from runwright.domain.run import Run
from runwright.store.queries.runs import listing
from tests.engine.databases import Database
from tests.store.rows_of import records


class Entry(NamedTuple):
    """A run as it stands, and its log."""

    run: Run
    events: list[Event]


async def ledger(database: Database) -> dict[str, Entry]:
    """Return every run of a database by its id. No server may be using a file."""
    store = database.make(SystemClock())
    await store.open()
    try:
        everything = await records(store, listing(frozenset(), None, newest_first=False), limit=1_000_000)
        runs = [record.run for record in everything]
        return {run.run_id: Entry(run, await store.events(run.run_id, 0, 100_000)) for run in runs}
    finally:
        await store.close()


def audit(entries: dict[str, Entry]) -> None:
    """Refuse a ledger with a gap, a broken chain, a status that its log does not tell, or a word after the end."""
    for run_id, (run, events) in entries.items():
        assert [event.seq for event in events] == list(range(1, run.seq + 1)), run_id
        assert verify(_genesis(events[0]), (event.link() for event in events), run.hash) is None, run_id
        ends = [event.seq for event in events if event.type in TERMINAL_TYPES]
        assert ends == ([run.seq] if run.terminal else []), run_id
        times = [event.created_at for event in events]
        assert times == sorted(times), run_id
        folded = fold(events)
        assert (folded.state, folded.seq) == (run.state, run.seq), run_id


def _genesis(first: Event) -> bytes:
    return genesis(bytes(msgspec.json.decode(first.data or b"", type=Created).spec))


async def leftovers(database: Database) -> list[object]:
    """Return what a database whose runs have all ended must not hold: leases, timers, places in a queue."""
    store = database.make(SystemClock())
    await store.open()
    try:
        found: list[object] = [*await store.lapsed(2**62, 1000), *await store.due(2**62, 1000)]
        return [*found, *await store.lanes(), *await store.starved(1000)]
    finally:
        await store.close()
