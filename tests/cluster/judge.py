"""Decide over a history whether the cluster kept its word; pure, and knows nothing of how servers work.

acknowledged    a run that was acknowledged is there, everywhere, and whole; a key makes one run
ended           each run ends once, and every source tells the same of it
streamed        no event is lost, repeated, reordered or told differently in any stream
executed        nothing takes effect under a lease after the next one began, and nothing kept is gone
seen            who looks later does not see less
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TypeVar

from tests.cluster.history import Account, Deed, Delivery, History, Sighting, Submission

T = TypeVar("T")
K = TypeVar("K")


def judge(history: History) -> list[str]:
    """Return everything that is wrong, or nothing."""
    told = {account.run_id: account for account in reversed(history.accounts)}  # by the first source
    found = [
        *history.complaints,
        *_acknowledged(history, told),
        *_ended(history),
        *_streamed(history, told),
        *_executed(history, told),
        *_limited(history),
        *_looked(history),
    ]
    return list(dict.fromkeys(found))


# --- submissions ------------------------------------------------------------------------------------------------------


def _acknowledged(history: History, told: dict[str, Account]) -> Iterator[str]:
    runs_of = _grouped(told.values(), lambda account: account.key or "")
    asked = _grouped(history.submissions, lambda each: each.key)
    for key, tries in asked.items():
        made = [account.run_id for account in runs_of.get(key, [])]
        yield from (f"key {key}: {fault}" for fault in _of_key(tries, made))
    yield from (f"run {account.run_id} was made for key {key!r}, which nobody sent"
                for key, accounts in runs_of.items() if key not in asked for account in accounts)  # fmt: skip


def _of_key(tries: list[Submission], made: list[str]) -> Iterator[str]:
    named = [each.run_id or "" for each in tries if each.answer == "acknowledged"]
    yield from (f"run {run_id} was acknowledged and is lost" for run_id in dict.fromkeys(named) if run_id not in made)
    if len(set(named)) > 1:
        yield f"the answers name {len(set(named))} runs: {', '.join(sorted(set(named)))}"
    if len(made) > 1:
        yield f"{len(made)} runs were made: {', '.join(made)}"
    if sum(each.answer == "acknowledged" and not each.hit for each in tries) > 1:
        yield "two answers say that they made the run"
    if made and all(each.answer == "refused" for each in tries):
        yield f"run {made[0]} was made by a request that was refused"
    first = min((each.answered_at for each in tries if each.answer == "acknowledged"), default=None)
    if any(each.answer == "acknowledged" and not each.hit and first is not None and each.asked_at > first
           for each in tries):  # fmt: skip
        yield "an answer says that it made the run after another had said so"


# --- what is told in the end ------------------------------------------------------------------------------------------


def _ended(history: History) -> Iterator[str]:
    for run_id, accounts in _grouped(history.accounts, lambda account: account.run_id).items():
        by_source = {account.source: account for account in accounts}
        first = accounts[0]
        for source in history.sources:
            other = by_source.get(source)
            if other is None:
                yield f"run {run_id} is told by {first.source} and not by {source}"
                continue
            yield from (f"run {run_id}, told by {source}: {fault}" for fault in _of_account(other))
            if [(each.seq, each.digest) for each in other.events] != [(e.seq, e.digest) for e in first.events]:
                yield f"run {run_id}: {first.source} and {source} tell different logs"
            if (other.state, other.lease_epoch) != (first.state, first.lease_epoch):
                yield f"run {run_id}: {first.source} says {first.state}, {source} says {other.state}"


def _of_account(account: Account) -> Iterator[str]:
    seqs = [each.seq for each in account.events]
    if seqs != list(range(1, account.last_seq + 1)):
        yield f"its log has the seqs {seqs} and should end with {account.last_seq}"
    ends = [each.seq for each in account.events if each.terminal]
    if ends != [account.last_seq]:
        yield f"it is {account.state} and has its ends at {ends} of {account.last_seq}"
    if account.broken is not None:
        yield f"its chain is broken: {account.broken}"
    epochs = [each.lease_epoch or 0 for each in account.events if each.type == "run.started"]
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        yield f"its leases are {epochs}"
    if account.state == "completed" and account.result_epoch is not None:
        last = epochs[-1] if epochs else None
        if account.result_epoch != last:
            yield f"it completed with the result of lease {account.result_epoch} under lease {last}"


# --- streams ----------------------------------------------------------------------------------------------------------


def _streamed(history: History, told: dict[str, Account]) -> Iterator[str]:
    for stream, connections in _grouped(history.deliveries, lambda each: each.stream).items():
        yield from (f"stream {stream} of run {connections[0].run_id}: {fault}"
                    for fault in _of_stream(connections, told.get(connections[0].run_id)))  # fmt: skip
    for run_id, connections in _grouped(history.deliveries, lambda each: each.run_id).items():
        shown: dict[int, str] = {}
        for event in (event for connection in connections for event in connection.events):
            if shown.setdefault(event.seq, event.digest) != event.digest:
                yield f"run {run_id}: two streams show event {event.seq} differently"


def _of_stream(connections: list[Delivery], account: Account | None) -> Iterator[str]:
    last, over = 0, False
    for connection in connections:
        if connection.after != last:
            yield f"resumed after {connection.after} and had {last}"
        for event in connection.events:
            if event.seq != last + 1:
                kind = "repeats or reorders" if event.seq <= last else "loses"
                yield f"{connection.server} {kind}: event {event.seq} follows {last}"
            if over:
                yield f"{connection.server} shows event {event.seq} after the end"
            over |= event.terminal
            last = max(last, event.seq)
        over |= connection.ended
    if account is None:
        if last:
            yield "its run is in no log"
        return
    log = {event.seq: event.digest for event in account.events}
    for event in (event for connection in connections for event in connection.events):
        if event.seq not in log:
            yield f"event {event.seq} ({event.type}) was shown and is not in the log"
        elif log[event.seq] != event.digest:
            yield f"event {event.seq} ({event.type}) was shown and the log has another"
    if over and last != account.last_seq:
        yield f"it ended at {last} of {account.last_seq}"


# --- executions -------------------------------------------------------------------------------------------------------


def _executed(history: History, told: dict[str, Account]) -> Iterator[str]:
    for run_id, deeds in _grouped(history.deeds, lambda deed: deed.run_id).items():
        account = told.get(run_id)
        if account is None:
            yield f"run {run_id} was executed and is not there"
            continue
        yield from (f"run {run_id}: {fault}" for fault in [*_of_leases(deeds, account), *_of_effects(deeds, account)])


def _of_leases(deeds: list[Deed], account: Account) -> Iterator[str]:
    given = {each.lease_epoch for each in account.events if each.type == "run.started"}
    begun = Counter(deed.lease_epoch for deed in deeds if deed.what == "begin")
    yield from (f"lease {epoch} was executed {count} times" for epoch, count in begun.items() if count > 1)
    yield from (f"lease {epoch} was executed and never given" for epoch in begun if epoch not in given)
    first = {deed.lease_epoch: deed.answered_at for deed in deeds if deed.what == "begin"}
    for deed in deeds:
        if deed.what == "kept":
            later = [epoch for epoch, at in first.items() if epoch > deed.lease_epoch and at < deed.asked_at]
            if later:
                yield f"{deed.name} was kept under lease {deed.lease_epoch} after lease {later[0]} had begun"


def _of_effects(deeds: list[Deed], account: Account) -> Iterator[str]:
    epoch = 0
    for event in account.events:
        if event.type == "run.started":
            epoch = event.lease_epoch or 0
        if event.name is not None and int(event.name.partition("-")[0]) != epoch:
            yield f"event {event.seq} is {event.name}, late, under lease {epoch}"
    logged = Counter(event.name or "" for event in account.events if event.name is not None)
    yield from (f"{name} is {count} times in the log" for name, count in logged.items() if count > 1)
    yield from (f"{deed.name} was acknowledged and is not in the log"
                for deed in deeds if deed.what == "kept" and not logged[deed.name or ""])  # fmt: skip
    wanted = {deed.name for deed in deeds if deed.what in ("kept", "unheard")}
    asked = {deed.lease_epoch for deed in deeds if deed.what == "begin"}
    yield from (f"{name} is in the log, and nobody saved it"
                for name in logged if name not in wanted and int(name.partition("-")[0]) not in asked)  # fmt: skip
    if account.state == "completed" and not any(
        deed.what == "end" and deed.lease_epoch == account.result_epoch for deed in deeds
    ):
        yield f"it completed, and no execution came to its end under lease {account.result_epoch}"


def _limited(history: History) -> Iterator[str]:
    """Look for more runs under a limit than it lets through: a lease is live from its begin to its last effect."""
    spans: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
    most = dict(history.limits.values())
    for run_id, deeds in _grouped(history.deeds, lambda deed: deed.run_id).items():
        if run_id not in history.limits:
            continue
        for under in _grouped(deeds, lambda deed: str(deed.lease_epoch)).values():
            begun = [deed.answered_at for deed in under if deed.what == "begin"]
            effects = [deed.asked_at for deed in under if deed.what == "kept"]
            if begun and effects:
                spans[history.limits[run_id][0]].append((begun[0], max(effects), run_id))
    for limit, found in spans.items():
        for start, _, _ in found:
            live = sorted(run_id for begun, ended, run_id in found if begun <= start < ended)
            if len(live) > most[limit]:
                yield f"limit {limit} lets {most[limit]} through, and {', '.join(live)} were live at once"


# --- looks ------------------------------------------------------------------------------------------------------------


def _looked(history: History) -> Iterator[str]:
    acknowledged: dict[str, int] = {}
    for each in history.submissions:
        if each.answer == "acknowledged" and each.run_id is not None:
            at = min(each.answered_at, acknowledged.get(each.run_id, each.answered_at))
            acknowledged[each.run_id] = at
    for run_id, looks in _grouped(history.sightings, lambda look: look.run_id).items():
        for look in looks:
            if not look.found and acknowledged.get(run_id, look.asked_at) < look.asked_at:
                yield f"run {run_id} had been acknowledged, and {look.server} did not know it"
        found = [look for look in looks if look.found]
        yield from (f"run {run_id}: {fault}" for fault in _of_looks(found))


def _of_looks(looks: list[Sighting]) -> Iterator[str]:
    for look in looks:
        before = [each for each in looks if each.answered_at < look.asked_at]
        if any((each.last_seq, each.lease_epoch) > (look.last_seq, look.lease_epoch) for each in before):
            yield f"{look.server} showed it at event {look.last_seq} after somebody had seen more"


def _grouped(things: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    groups: defaultdict[str, list[T]] = defaultdict(list)
    for thing in things:
        groups[key(thing)].append(thing)
    return dict(groups)
