"""Tamper guards: refuse a patch that makes a gate pass without mending anything.

They compare what files hold before a patch and after it; nothing of it is run. What they do not understand of a test or
of a configuration they refuse. A policy's `tamper_guards` switches some of them off, see `SWITCHES`; scope, size,
binary files and the policy itself are always guarded.
"""

from __future__ import annotations

from collections.abc import Callable

from runwright.domain.guards.gates import edited
from runwright.domain.guards.paths import binaries, outside, policy_edits, sizes
from runwright.domain.guards.suppressions import suppressed
from runwright.domain.guards.terms import Edited, Guard, Guarded, Held, Refusal, text_of
from runwright.domain.guards.tests import weakened
from runwright.domain.guards.thresholds import lowered
from runwright.domain.policy_terms import TamperGuards

__all__ = ["SWITCHES", "Guard", "Guarded", "Refusal", "refusals"]

SWITCHES: dict[Guard, Callable[[TamperGuards], bool]] = {
    "test_deleted": lambda guards: guards.forbid_test_deletion,
    "test_skipped": lambda guards: guards.forbid_test_deletion,
    "assertions_removed": lambda guards: guards.forbid_test_deletion,
    "suppression_added": lambda guards: guards.forbid_new_suppressions,
    "gate_edited": lambda guards: guards.forbid_gate_edits,
    "threshold_lowered": lambda guards: guards.forbid_gate_edits,
}
"""The guards that a policy may switch off, with what belongs together; the others are always on."""


def refusals(
    before: Held, after: Held, policy: Guarded, *, max_files: int | None = None, max_lines: int | None = None
) -> tuple[Refusal, ...]:
    """Return why a patch is refused, in the order of the paths; nothing of one that may go on.

    `before` and `after` hold the files that it touches, and may hold others. `max_files` and `max_lines` are the
    caller's own limits: the smaller of each, and of the policy's, counts.
    """
    paths = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    binary = [path for path in paths if any(path in held and text_of(held[path]) is None for held in (before, after))]
    edits = [Edited(path, _text(before, path), _text(after, path)) for path in paths if path not in binary]
    switches = policy.tamper_guards
    files, lines = switches.max_files, switches.max_changed_lines
    found = [
        *outside(paths, policy),
        *policy_edits(paths),
        *binaries(binary),
        *sizes(len(paths), edits, min(files, max_files or files), min(lines, max_lines or lines)),
        *weakened(edits),
        *lowered(edits),
        *suppressed(edits),
        *edited(edits, [gate.command for gate in policy.quality_gates]),
    ]
    counted = {each: None for each in found if each.guard not in SWITCHES or SWITCHES[each.guard](switches)}
    return tuple(sorted(counted, key=lambda each: (each.path, each.line, each.guard)))


def _text(held: Held, path: str) -> str | None:
    return text_of(held[path]) if path in held else None
