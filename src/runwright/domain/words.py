"""The words in which surfaces tell a run's state: total, and read backwards for filters.

Inside there are nine states with reasons; outside each run is told in the words of the surface that made it: agent runs
in those of seed 001 (`THREAD_WORDS`), runtime runs, loops and deliveries in those of seed 000 (`RUNTIME_WORDS`), all
others in those of seed 002 (`JOB_WORDS`). Both directions come from the same tables.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from runwright.domain.run import AGENT, DELIVERY, LOOP, RUNTIME, STATES, Run, State

Surface = Literal["jobs", "threads", "runtime"]
KINDS: dict[Surface, tuple[str, ...]] = {"threads": (AGENT,), "runtime": (RUNTIME, LOOP, DELIVERY)}
"""The kinds of runs that a surface makes; the surface of jobs makes all others."""
_SURFACES = {kind: surface for surface, kinds in KINDS.items() for kind in kinds}


class Shows(msgspec.Struct, frozen=True):
    """The runs that show a word: a state, one of these reasons (None: any); and, where that is asked (None: either),
    whether they are dead-lettered, were asked to cancel, and which surface made them.
    """  # fmt: skip

    state: State
    reasons: tuple[str, ...] | None = None
    dead: bool | None = None
    asked: bool | None = None
    surface: Surface | None = None


_DEFAULT_FAILED = ("error", "rejected", "budget", "policy", "denied")

JOB_WORDS: dict[str, tuple[Shows, ...]] = {
    "delayed": (Shows("scheduled", ("delay", "rate_limit", "debounce", "batch")),),
    "queued": (Shows("queued"), Shows("scheduled", ("retry", "snooze"))),
    "dequeued": (),
    "executing": (Shows("executing"),),
    "waiting": (Shows("waiting"),),
    "paused": (Shows("paused"),),
    "completed": (Shows("completed"),),
    "failed": (Shows("failed", _DEFAULT_FAILED, dead=False),),
    "timed_out": (Shows("failed", ("timeout", "wait_timeout"), dead=False),),
    "crashed": (Shows("failed", ("crash",), dead=False),),
    "system_failed": (Shows("failed", ("system",), dead=False),),
    "dead_letter": (Shows("failed", None, dead=True),),
    "canceled": (Shows("cancelled"),),
    "expired": (Shows("expired"),),
}
"""Word → the runs that show it. `dequeued` is for executors whose claim and begin are two steps; none exists yet."""

THREAD_WORDS: dict[str, tuple[Shows, ...]] = {
    "queued": (Shows("scheduled"), Shows("queued")),
    "running": (Shows("executing", asked=False), Shows("waiting", ("event", "dependency", "child", "timer"))),
    "cancelling": (Shows("executing", asked=True),),
    "waiting_for_input": (Shows("waiting", ("input", "approval")),),
    "paused": (Shows("paused"),),
    "completed": (Shows("completed"),),
    "failed": (Shows("failed"), Shows("expired")),
    "cancelled": (Shows("cancelled"),),
}
"""Word → the runs of agents that show it."""

RUNTIME_WORDS: dict[str, tuple[Shows, ...]] = {
    "queued": (Shows("scheduled"), Shows("queued")),
    "preparing": (),
    "running": (Shows("executing", asked=False),),
    "cancelling": (Shows("executing", asked=True),),
    "awaiting_approval": (Shows("waiting", ("approval",)),),
    "waiting": (Shows("waiting", ("input", "event", "dependency", "child", "timer")),),
    "paused": (Shows("paused"),),
    "completed": (Shows("completed"),),
    "failed": (Shows("failed"), Shows("expired")),
    "cancelled": (Shows("cancelled"),),
}
"""Word → the runtime runs that show it. `preparing` is for a claim and a begin in two steps; none of them has two."""

SYNONYMS = {"canceled": ("canceled", "cancelled"), "cancelled": ("canceled", "cancelled")}
"""Words that are one to a filter."""
REACHES_OVER = {"running": "executing"}
"""Words of other runs by which a filter finds job runs that show another, too."""

TABLES: dict[Surface, dict[str, tuple[Shows, ...]]] = {
    "jobs": JOB_WORDS,
    "threads": THREAD_WORDS,
    "runtime": RUNTIME_WORDS,
}
WORDS: tuple[str, ...] = tuple(dict.fromkeys(word for table in TABLES.values() for word in table))
"""Every word of a surface."""


def surface_of(kind: str) -> Surface:
    """Return the surface that makes runs of a kind."""
    return _SURFACES.get(kind, "jobs")


def shows(word: str) -> tuple[Shows, ...] | None:
    """Return the runs that `word` finds, of every kind; None when it is no word."""
    if word not in WORDS:
        return None
    words = SYNONYMS.get(word, (word,))
    found: list[Shows] = []
    for surface, table in TABLES.items():
        named = (*words, REACHES_OVER[word]) if surface == "jobs" and word in REACHES_OVER else words
        found += [replace(shown, surface=surface) for each in named for shown in table.get(each, ())]
    return tuple(found)


def matches(run: Run, shown: Shows) -> bool:
    """Tell whether a run is one of those."""
    return (
        run.state == shown.state
        and (shown.reasons is None or run.reason in shown.reasons)
        and (shown.dead is None or shown.dead == (run.dead_lettered_at is not None))
        and (shown.asked is None or shown.asked == (run.cancel_requested_at is not None))
        and (shown.surface is None or shown.surface == surface_of(run.spec.kind))
    )


def word_of(run: Run) -> str:
    """Return the word that a run shows."""
    for word, shown in _READ[surface_of(run.spec.kind)][run.state]:
        if matches(run, shown):
            return word
    raise AssertionError(f"no word for {run.state}/{run.reason}")  # the tables are total; a test walks them


_READ: dict[Surface, dict[State, tuple[tuple[str, Shows], ...]]] = {
    surface: {
        state: tuple((word, shown) for word, all_shown in table.items() for shown in all_shown if shown.state == state)
        for state in STATES
    }
    for surface, table in TABLES.items()
}
"""Of each surface the words that a state may show, with when it does."""
