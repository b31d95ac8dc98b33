"""The texts that a policy forbids: its expressions over the files they are for, in time linear in the text."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from runwright.domain.globs import matches as of_glob
from runwright.domain.linear import linear
from runwright.domain.policy_terms import ForbidPattern
from runwright.sandbox.scanner import Report, ScanBounds, Seen, Text
from runwright.scanners.told import Told, matches, read

TOOL = "policy"
_A_FILE_MAX = 1000
"""Lines of one file on which one expression is told; the others are counted."""


class Patterns:
    """Looks for what a policy forbids."""

    name = TOOL

    def __init__(self, patterns: Sequence[ForbidPattern]) -> None:
        self._patterns = tuple(patterns)

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look at the files that an expression is for."""
        given = [text for text in ground.texts if any(of_glob((each.files,), text.path) for each in self._patterns)]
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._looked, ground, given, bounds, stop)
        finally:
            stop.set()

    def _looked(self, ground: Seen, given: Sequence[Text], bounds: ScanBounds, stop: threading.Event) -> Report:
        told: list[Told] = []
        unread = untold = 0
        for text in given:
            if stop.is_set():
                break
            says = read(ground.files, text.path, bounds.file_max_bytes)
            unread += says is None
            for each in self._of(text.path):
                lines = _lines(each, says or "")
                told += [_told(each, text.path, line) for line in lines[:_A_FILE_MAX]]
                untold += len(lines[_A_FILE_MAX:])
        gravest = sorted(told, key=lambda each: each.severity)[: bounds.matches_max]
        return Report(
            scanner=self.name,
            status="partial" if unread else "completed",
            files=len(given) - unread,
            matches=matches(TOOL, gravest, ground, given, bounds),
            reason=f"{unread} files could not be read" if unread else None,
            more=len(told) - len(gravest) + untold,
        )

    def _of(self, path: str) -> list[ForbidPattern]:
        return [each for each in self._patterns if of_glob((each.files,), path)]


def _lines(pattern: ForbidPattern, says: str) -> list[int]:
    """Return the lines of a text on which an expression matches, each once."""
    content = says.encode("utf-8", "surrogatepass")
    lines: dict[int, None] = {}
    line, at = 1, 0
    for found in linear(pattern.pattern).finditer(content):
        line, at = line + content.count(b"\n", at, found.start()), found.start()
        lines[line] = None
    return list(lines)


def _told(pattern: ForbidPattern, path: str, line: int) -> Told:
    rule = pattern.rule_id.partition(":")[2]
    return Told(rule=rule, severity=pattern.severity, message=pattern.told, path=path, line=line, end_line=line)
