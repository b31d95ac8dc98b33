"""Everything that is measured of us, in the order of the table, with how much of it a run does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import agents, crowd, evidence, held, history, inside, kpi, labour, stops, streams, triggers
from benchmarks.database import POSTGRESQL, SECURED
from benchmarks.figures import Figure

Measure = Callable[..., Awaitable[list[Figure]]]


@dataclass(frozen=True)
class Entry:
    """A measurement, what it is given by default and for a quick look, and the longest time that it may take."""

    measure: Measure
    usual: dict[str, Any]
    quick: dict[str, Any]
    patience_s: float = 120.0


def _pg(usual: dict[str, Any], quick: dict[str, Any], on: str = POSTGRESQL) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of the same measurement on PostgreSQL."""
    return {**usual, "on": on}, {**quick, "on": on}


CATALOGUE: dict[str, Entry] = {
    "lives": Entry(inside.whole_lives, {"rounds": 3, "count": 6_000}, {"rounds": 1, "count": 500}),
    "start": Entry(inside.start_latency, {"rounds": 3, "count": 1_000}, {"rounds": 1, "count": 50}),
    "events": Entry(
        inside.events_delivered,
        {"rounds": 3, "runs": 50, "batches": 20, "lines": 49},
        {"rounds": 1, "runs": 5, "batches": 2, "lines": 9},
    ),
    "trigger": Entry(
        triggers.singles, {"rounds": 3, "count": 6_000, "clients": 64}, {"rounds": 1, "count": 200, "clients": 8}
    ),
    "bulk": Entry(
        triggers.bulk,
        {"rounds": 3, "count": 10_000, "items": 500, "clients": 4},
        {"rounds": 1, "count": 500, "items": 100, "clients": 2},
    ),
    "http-start": Entry(triggers.idle_start, {"rounds": 3, "count": 500}, {"rounds": 1, "count": 20}),
    "sse": Entry(
        streams.delivered,
        {"rounds": 3, "runs": 50, "batches": 20, "lines": 49},
        {"rounds": 1, "runs": 3, "batches": 2, "lines": 9},
    ),
    "lag": Entry(
        streams.lag,
        {"rounds": 2, "runs": 100, "seconds": 4.0, "rate": 10.0},
        {"rounds": 1, "runs": 5, "seconds": 0.5, "rate": 10.0},
    ),
    "fan": Entry(
        streams.fan_out,
        {"rounds": 2, "followers": 5_000, "seconds": 5.0, "rate": 10.0},
        {"rounds": 1, "followers": 50, "seconds": 0.5, "rate": 10.0},
    ),
    "cancel": Entry(
        stops.cancelled, {"rounds": 2, "count": 400, "clients": 4}, {"rounds": 1, "count": 10, "clients": 2}
    ),
    "kill": Entry(stops.killed, {"rounds": 2, "count": 200}, {"rounds": 1, "count": 5}),
    "agents": Entry(
        agents.overhead,
        {"rounds": 2, "crowds": [[1, 5], [16, 3], [64, 2]]},
        {"rounds": 1, "crowds": [[2, 1]]},
    ),
    "agents-langgraph": Entry(
        agents.langgraph,
        {"rounds": 2, "crowds": [[1, 5], [16, 3], [64, 2]], "on": "memory"},
        {"rounds": 1, "crowds": [[2, 1]], "on": "memory"},
        patience_s=400.0,
    ),
    "evidence": Entry(evidence.bundles, {"rounds": 3, "batches": 800}, {"rounds": 1, "batches": 4}),
    "kpi": Entry(
        kpi.asked,
        {"rounds": 5, "runs": 1_000_000, "asks": 3},
        {"rounds": 1, "runs": 2_000, "asks": 1},
        patience_s=900.0,
    ),
    "history": Entry(
        history.growth,
        {"rounds": 2, "runs": 50_000, "asks": 100},
        {"rounds": 1, "runs": 2_000, "asks": 20},
        patience_s=300.0,
    ),
    "crowd": Entry(
        crowd.crowded,
        {"rounds": 4, "runs": 100_000, "asks": 200, "window_s": 2.5},
        {"rounds": 1, "runs": 2_000, "asks": 20, "window_s": 0.5},
        patience_s=1800.0,
    ),
    "pg-lives": Entry(inside.whole_lives, *_pg({"rounds": 3, "count": 6_000}, {"rounds": 1, "count": 500})),
    "pg-workers": Entry(
        labour.whole_lives,
        *_pg(
            {"rounds": 3, "count": 10_000, "items": 500, "clients": 4},
            {"rounds": 1, "count": 500, "items": 100, "clients": 2},
        ),
    ),
    "pg-start": Entry(inside.start_latency, *_pg({"rounds": 3, "count": 500}, {"rounds": 1, "count": 50})),
    "pg-http-start": Entry(triggers.idle_start, *_pg({"rounds": 3, "count": 300}, {"rounds": 1, "count": 20})),
    "pg-trigger": Entry(
        triggers.singles,
        *_pg({"rounds": 2, "count": 4_000, "clients": 64}, {"rounds": 1, "count": 200, "clients": 8}),
    ),
    "pg-bulk": Entry(
        triggers.bulk,
        *_pg(
            {"rounds": 2, "count": 10_000, "items": 500, "clients": 4},
            {"rounds": 1, "count": 500, "items": 100, "clients": 2},
        ),
    ),
    "pg-events": Entry(
        inside.events_delivered,
        *_pg(
            {"rounds": 3, "runs": 50, "batches": 20, "lines": 49},
            {"rounds": 1, "runs": 5, "batches": 2, "lines": 9},
        ),
    ),
    "pg-sse": Entry(
        streams.delivered,
        *_pg(
            {"rounds": 2, "runs": 50, "batches": 20, "lines": 49},
            {"rounds": 1, "runs": 3, "batches": 2, "lines": 9},
        ),
    ),
    "pg-lag": Entry(
        streams.lag,
        *_pg(
            {"rounds": 2, "runs": 100, "seconds": 4.0, "rate": 10.0},
            {"rounds": 1, "runs": 5, "seconds": 0.5, "rate": 10.0},
        ),
    ),
    "pg-held": Entry(
        held.held_open,
        *_pg(
            {"rounds": 1, "followers": 1_000, "held_s": 120.0, "window_s": 2.5, "windows": 4},
            {"rounds": 1, "followers": 20, "held_s": 1.0, "window_s": 0.5, "windows": 1},
        ),
        patience_s=400.0,
    ),
    "pg-crowd": Entry(
        crowd.crowded,
        *_pg(
            {"rounds": 4, "runs": 100_000, "asks": 200, "window_s": 2.5},
            {"rounds": 1, "runs": 2_000, "asks": 20, "window_s": 0.5},
        ),
        patience_s=1800.0,
    ),
    "pg-kpi": Entry(
        kpi.asked,
        *_pg({"rounds": 5, "runs": 1_000_000, "asks": 3}, {"rounds": 1, "runs": 2_000, "asks": 1}),
        patience_s=1800.0,
    ),
    "pg-history": Entry(
        history.growth,
        *_pg({"rounds": 2, "runs": 100_000, "asks": 100}, {"rounds": 1, "runs": 20_000, "asks": 10}),
        patience_s=1800.0,
    ),
    "rls-lives": Entry(inside.whole_lives, *_pg({"rounds": 3, "count": 6_000}, {"rounds": 1, "count": 500}, SECURED)),
    "rls-trigger": Entry(
        triggers.singles,
        *_pg({"rounds": 2, "count": 4_000, "clients": 64}, {"rounds": 1, "count": 200, "clients": 8}, SECURED),
    ),
}
"""By name: what `--only` takes."""
