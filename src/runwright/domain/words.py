"""The words in which the jobs surface tells a run's state: total, and read backwards for filters.

Inside there are nine states with reasons; outside each surface speaks its seed's words (seed 002 here). Both directions
come from one table.
"""

from __future__ import annotations

import msgspec

from runwright.domain.run import STATES, Run, State


class Shows(msgspec.Struct, frozen=True):
    """The runs that show a word: a state, one of these reasons (None: any), dead-lettered or not (None: either)."""

    state: State
    reasons: tuple[str, ...] | None = None
    dead: bool | None = None


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

SYNONYMS = {"cancelled": "canceled", "running": "executing"}
"""Words of other seeds that a filter of this surface understands too."""


def shows(word: str) -> tuple[Shows, ...] | None:
    """Return the runs that show `word`, or None when it is no word of this surface."""
    return JOB_WORDS.get(SYNONYMS.get(word, word))


def matches(run: Run, shown: Shows) -> bool:
    """Tell whether a run is one of those."""
    dead = run.dead_lettered_at is not None
    return (
        run.state == shown.state
        and (shown.reasons is None or run.reason in shown.reasons)
        and (shown.dead is None or shown.dead == dead)
    )


def job_word(run: Run) -> str:
    """Return the word that the jobs surface shows for a run."""
    for word in _BY_STATE[run.state]:
        if any(matches(run, shown) for shown in JOB_WORDS[word]):
            return word
    raise AssertionError(f"no word for {run.state}/{run.reason}")  # the table is total; a test walks it


_BY_STATE: dict[str, tuple[str, ...]] = {
    state: tuple(word for word, all_shown in JOB_WORDS.items() if any(shown.state == state for shown in all_shown))
    for state in STATES
}
