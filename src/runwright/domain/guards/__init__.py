"""Tamper guards: refuse a patch that makes a gate pass without mending anything.

They compare what files hold before a patch and after it; nothing of it is run. What they do not understand of a test or
of a configuration they refuse. A policy's `tamper_guards` switches three of them off with what belongs to them; scope,
size, binary files and the policy itself are always guarded.
"""

from __future__ import annotations

from runwright.domain.guards.paths import binaries, outside, policy_edits, sizes
from runwright.domain.guards.terms import Edited, Guard, Guarded, Held, Refusal, text_of

__all__ = ["Guard", "Guarded", "Refusal", "refusals"]


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
    found = [
        *outside(paths, policy),
        *policy_edits(paths),
        *binaries(binary),
        *sizes(
            len(paths),
            edits,
            min(switches.max_files, max_files or switches.max_files),
            min(switches.max_changed_lines, max_lines or switches.max_changed_lines),
        ),
    ]
    return tuple(sorted(found, key=lambda each: (each.path, each.line, each.guard)))


def _text(held: Held, path: str) -> str | None:
    return text_of(held[path]) if path in held else None
