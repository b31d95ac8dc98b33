"""The words in which surfaces tell a run's state: total, and read backwards for filters.

Inside there are nine states with reasons; outside each run is told in the words of the surface that made it: agent runs
in those of seed 001 (`THREAD_WORDS`), all others in those of seed 002 (`JOB_WORDS`). Both directions come from the
same tables.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from runwright.domain.run import AGENT, STATES, Run, State


class Shows(msgspec.Struct, frozen=True):
    """The runs that show a word: a state, one of these reasons (None: any); and, where that is asked (None: either),
    whether they are dead-lettered, were asked to cancel, and are runs of an agent.
    """  # fmt: skip

    state: State
    reasons: tuple[str, ...] | None = None
    dead: bool | None = None
    asked: bool | None = None
    agent: bool | None = None


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

SYNONYMS = {"canceled": ("canceled", "cancelled"), "cancelled": ("canceled", "cancelled")}
"""Words that are one to a filter."""
REACHES_OVER = {"running": "executing"}
"""Words of agent runs by which a filter finds job runs that show another, too."""

WORDS: tuple[str, ...] = (*JOB_WORDS, *(word for word in THREAD_WORDS if word not in JOB_WORDS))
"""Every word that some run shows."""


def shows(word: str) -> tuple[Shows, ...] | None:
    """Return the runs that `word` finds, of every kind; None when it is no word."""
    if word not in WORDS:
        return None
    words = SYNONYMS.get(word, (word,))
    found = [replace(shown, agent=True) for each in words for shown in THREAD_WORDS.get(each, ())]
    words = (*words, REACHES_OVER[word]) if word in REACHES_OVER else words
    return (*(replace(shown, agent=False) for each in words for shown in JOB_WORDS.get(each, ())), *found)


def matches(run: Run, shown: Shows) -> bool:
    """Tell whether a run is one of those."""
    return (
        run.state == shown.state
        and (shown.reasons is None or run.reason in shown.reasons)
        and (shown.dead is None or shown.dead == (run.dead_lettered_at is not None))
        and (shown.asked is None or shown.asked == (run.cancel_requested_at is not None))
        and (shown.agent is None or shown.agent == (run.spec.kind == AGENT))
    )


def word_of(run: Run) -> str:
    """Return the word that a run shows."""
    table, by_state = _OF_AGENTS if run.spec.kind == AGENT else _OF_JOBS
    for word in by_state[run.state]:
        if any(matches(run, shown) for shown in table[word]):
            return word
    raise AssertionError(f"no word for {run.state}/{run.reason}")  # the tables are total; a test walks them


_Table = tuple[dict[str, tuple[Shows, ...]], dict[str, tuple[str, ...]]]


def _read(table: dict[str, tuple[Shows, ...]]) -> _Table:
    by_state: dict[str, tuple[str, ...]] = {
        state: tuple(word for word, all_shown in table.items() if any(shown.state == state for shown in all_shown))
        for state in STATES
    }
    return table, by_state


_OF_JOBS, _OF_AGENTS = _read(JOB_WORDS), _read(THREAD_WORDS)
