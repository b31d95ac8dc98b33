"""The gate `scoped_tests`: only those tests of a change that belong to what it touches; all of them where nobody knows.

To a file that was changed belong the tests that the policy names for it, else those that are called like it
(`app.py`: `test_app.py`, `app_test.py`, `app.test.ts`). A test that was changed belongs to itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.domain.command_terms import Seconds, Words
from runwright.domain.globs import Globs, matches

TESTS: Globs = ("test_*", "*_test.*", "*.test.*", "*.spec.*", "*_spec.*")
IDLE: Globs = ("*.md", "*.rst", "docs/**", "LICENSE*")
NAMED_MAX = 500
"""So many tests are named to a command; of more all are run."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What both of these are."""


class Belonging(_Struct, frozen=True):
    """The tests that belong to the files of some paths; both are patterns."""

    paths: Globs
    tests: Globs


class ScopedTests(_Struct, frozen=True):
    """What the gate is told: a command, to which the tests are added by their names; without any it runs all.

    `tests` are patterns of files that are tests, `idle` of those to which none belong.
    """

    command: Words
    timeout: Seconds = 600.0
    tests: Globs = TESTS
    idle: Globs = IDLE
    map: Annotated[tuple[Belonging, ...], Meta(max_length=200)] = ()


def in_scope(rules: ScopedTests, changed: Iterable[str], tree: Collection[str]) -> tuple[str, ...] | None:
    """Return the tests that belong to a change; None: nobody knows which, and so all of them do."""
    every = [path for path in tree if matches(rules.tests, path)]
    found: set[str] = set()
    for path in changed:
        mine = _of(rules, path, every)
        if mine is None:
            return None
        found |= mine
    return tuple(sorted(found)) if len(found) <= NAMED_MAX else None


def _of(rules: ScopedTests, path: str, every: Collection[str]) -> set[str] | None:
    """Return the tests of a file that was changed; None where nobody knows."""
    mapped = [each.tests for each in rules.map if matches(each.paths, path)]
    if mapped:
        return {test for test in every if any(matches(tests, test) for tests in mapped)}
    if matches(rules.tests, path):
        return {path} & set(every)  # one that is gone is run no more
    if matches(rules.idle, path):
        return set()
    stem = path.rpartition("/")[2].partition(".")[0]
    names = (f"test_{stem}.*", f"{stem}_test.*", f"{stem}.test.*", f"{stem}.spec.*", f"{stem}_spec.*")
    return {test for test in every if stem and matches(names, test)} or None


def named(tests: Iterable[str]) -> tuple[str, ...]:
    """Return names as a command takes them for files, and never for options."""
    return tuple(f"./{test}" if test.startswith("-") else test for test in tests)
