"""Judge by the books of the executions themselves, beside the log, whether anything ran under two live leases.

The books are lines that a handler appended to a file (see `tests.faults.labour`), which no store can take back. The
log says which lease each event was written under. Whoever executes runs, here or elsewhere, is judged the same way.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from runwright.domain.events import TERMINAL_TYPES
from tests.acceptance.handlers import lines
from tests.acceptance.ledger import Entry


def judge(entries: dict[str, Entry], books: Path) -> list[str]:
    """Return what is wrong, run by run; nothing where every effect is that of the one lease that was live."""
    found: list[str] = []
    for run_id, entry in entries.items():
        written: list[tuple[str | int, ...]] = [
            (words[0], int(words[2]), *words[3:]) for words in lines(books) if words[1] == run_id
        ]
        found += [f"{run_id}: {fault}" for fault in [*_of_log(entry), *_of_books(entry, written)]]
    return found


def _of_log(entry: Entry) -> list[str]:
    """Look for a late effect: something that one lease wrote after the next had begun."""
    found, epoch = [], 0
    for event in entry.events:
        if event.type == "run.started":
            started = int(msgspec.json.decode(event.data or b"")["lease_epoch"])
            if started <= epoch:
                found.append(f"event {event.seq} begins lease {started} after lease {epoch}")
            epoch = started
        if event.lease_epoch != epoch:
            found.append(f"event {event.seq} ({event.type}) was written under lease {event.lease_epoch}, not {epoch}")
        if event.type == "output.saved":
            author = int(msgspec.json.decode(event.data or b"")["output_key"].partition("-")[0])
            if author != epoch:
                found.append(f"event {event.seq} is the work of lease {author}, late, under lease {epoch}")
    return found


def _of_books(entry: Entry, written: list[tuple[str | int, ...]]) -> list[str]:
    """Compare what executions wrote down with what the log says they were: begun once, kept what they were told."""
    found = []
    started = [event.data or b"" for event in entry.events if event.type == "run.started"]
    leases = [msgspec.json.decode(data)["lease_epoch"] for data in started]
    begun = Counter(line[1] for line in written if line[0] == "begin")
    found += [f"lease {epoch} was executed {count} times" for epoch, count in begun.items() if count != 1]
    found += [f"lease {epoch} was executed and never given" for epoch in begun if epoch not in leases]
    names = Counter(msgspec.json.decode(e.data or b"")["output_key"] for e in entry.events if e.type == "output.saved")
    found += [
        f"{line[2]} was acknowledged and is not in the log"
        for line in written
        if line[0] == "kept" and names[str(line[2])] != 1
    ]
    ends = [event for event in entry.events if event.type in TERMINAL_TYPES]
    if ends and ends[-1].type == "run.completed" and ("end", leases[-1]) not in written:
        found.append(f"the run completed, and not by its last lease {leases[-1]}")
    return found
