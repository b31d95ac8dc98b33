"""Ruff: its security rules, and the lint that tells of errors, each a scanner of its own.

It runs isolated: no configuration of the tree, no cache, no comment that silences it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runwright.domain.severities import of_ruff
from runwright.sandbox.scanner import Report, ScanBounds, Seen, Text
from runwright.scanners.program import Read, Said, looked, of_language
from runwright.scanners.told import Told, within

TOOL = "ruff"
_SYNTAX = "invalid-syntax"
_NEWEST = "py314"
"""It must not take new syntax for an error."""


class _Location(msgspec.Struct):
    row: int = 0


class _Diagnostic(msgspec.Struct):
    filename: str
    message: str
    location: _Location
    end_location: _Location
    code: str | None = None


_decode = msgspec.json.Decoder(_Diagnostic).decode_lines


class Ruff:
    """Runs ruff over the Python of a tree, with rules of one sort."""

    tool = TOOL
    program = TOOL
    good = frozenset({0})
    silencer = None

    def __init__(self, name: str, rules: str) -> None:
        self.name = name
        self._rules = rules

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look at every Python file."""
        return await looked(self, ground, of_language(ground, "Python"), bounds)

    def words(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return its command line."""
        options = ("--isolated", "--no-cache", "--no-fix", "--ignore-noqa", "--no-respect-gitignore", "--exit-zero")
        choice = ("--select", self._rules, "--target-version", _NEWEST, "--output-format", "json-lines", "--quiet")
        return (self.program, "check", *options, *choice, "--", *paths)

    def files(self) -> dict[str, str]:
        """Return nothing: it needs none."""
        return {}

    def read(self, said: Said, given: Sequence[Text]) -> Read:
        """Read its lines of JSON; a file that it cannot parse has not been looked into."""
        found = _decode(said.report)
        broken = {each.filename for each in found if _is_syntax(each)}
        lint = not self._rules.startswith("S")
        told = tuple(_told(each) for each in found if lint or not _is_syntax(each))
        return Read(told, len(broken))


def security() -> Ruff:
    """Return the rules of bandit, as ruff has them."""
    return Ruff("ruff", "S")


def lint() -> Ruff:
    """Return what is most likely an error in any code."""
    return Ruff("ruff_lint", "E4,E7,E9,F")


def _is_syntax(each: _Diagnostic) -> bool:
    return each.code is None or each.code == _SYNTAX


def _told(each: _Diagnostic) -> Told:
    code = each.code or _SYNTAX
    return Told(
        rule=code,
        severity=of_ruff(code, each.message),
        message=each.message,
        path=within(each.filename),
        line=each.location.row,
        end_line=each.end_location.row,
    )
