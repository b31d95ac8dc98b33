"""Bandit: what is dangerous in Python, graded by how grave and how sure it is.

It is given files by name and no configuration; comments that silence it are not obeyed. A password that it quotes in
its message stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runwright.domain.severities import CONFIDENCE, graded
from runwright.sandbox.scanner import Report, ScanBounds, Seen, Text
from runwright.scanners.program import BadReport, Read, Said, looked, of_language
from runwright.scanners.told import Told, within

TOOL = "bandit"
_QUOTES_A_PASSWORD = frozenset({"B105", "B106", "B107"})


class _Result(msgspec.Struct):
    filename: str
    test_id: str
    issue_text: str
    issue_severity: str
    issue_confidence: str
    line_number: int
    line_range: tuple[int, ...] = ()


class _Error(msgspec.Struct):
    filename: str


class _Report(msgspec.Struct):
    results: tuple[_Result, ...]
    errors: tuple[_Error, ...] = ()


_decode = msgspec.json.Decoder(_Report).decode


class Bandit:
    """Runs bandit over the Python of a tree."""

    name = tool = program = TOOL
    good = frozenset({0})
    silencer = None

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look at every Python file."""
        return await looked(self, ground, of_language(ground, "Python"), bounds)

    def words(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return its command line; what it passes over by itself is nothing."""
        return (self.program, "--quiet", "--format", "json", "--exit-zero", "--ignore-nosec", "--exclude", "", *paths)

    def files(self) -> dict[str, str]:
        """Return nothing: it needs none."""
        return {}

    def read(self, said: Said, given: Sequence[Text]) -> Read:
        """Read its report; a file that it cannot parse is one of its errors."""
        found = _decode(said.report)
        if len(found.errors) > len(given):
            raise BadReport("it tells of more files than it was given")
        return Read(tuple(map(_told, found.results)), len(found.errors))


def _told(each: _Result) -> Told:
    first = min(each.line_range, default=each.line_number)
    message = each.issue_text
    return Told(
        rule=each.test_id,
        severity=graded("bandit", each.issue_severity, each.issue_confidence),
        message=message.partition(":")[0] if each.test_id in _QUOTES_A_PASSWORD else message,
        path=within(each.filename),
        line=first,
        end_line=max(each.line_range, default=each.line_number),
        confidence=CONFIDENCE.get(each.issue_confidence.upper(), CONFIDENCE["LOW"]),
    )
