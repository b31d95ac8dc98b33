"""Semgrep, where it is installed, with local rules only: nothing is fetched, and nothing is told to anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from runwright.domain.severities import graded
from runwright.sandbox.command import inside
from runwright.sandbox.scanner import Report, ScanBounds, Seen, Text
from runwright.scanners.program import BadReport, Read, Said, looked
from runwright.scanners.told import Told, within

TOOL = "semgrep"
NO_RULES = "it has no rules: the policy names a file or a directory of them (gates: security, config: semgrep)"


class _Point(msgspec.Struct):
    line: int


class _Extra(msgspec.Struct):
    message: str = ""
    severity: str = ""


class _Result(msgspec.Struct):
    check_id: str
    path: str
    start: _Point
    end: _Point
    extra: _Extra


class _Error(msgspec.Struct):
    path: str | None = None
    message: str = ""


class _Report(msgspec.Struct):
    results: tuple[_Result, ...]
    errors: tuple[_Error, ...] = ()


_decode = msgspec.json.Decoder(_Report).decode


class Semgrep:
    """Runs semgrep with the rules of a repository's base, given as texts by their paths."""

    name = tool = program = TOOL
    good = frozenset({0, 1})
    silencer = None

    def __init__(self, rules: Mapping[str, str] | None = None) -> None:
        self._rules = {f"semgrep-{number}.yml": text for number, text in enumerate((rules or {}).values())}

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look at every text; which of them its rules are for, it knows itself."""
        if not self._rules:
            return Report(scanner=self.name, status="not_run", reason=NO_RULES)
        return await looked(self, ground, ground.texts, bounds)

    def words(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return its command line; `1` is its answer where something was found."""
        rules = [word for name in self._rules for word in ("--config", inside(name))]
        options = ("--metrics", "off", "--disable-version-check", "--disable-nosem", "--no-git-ignore", "--quiet")
        more = ("--jobs", "1", "--no-rewrite-rule-ids", "--json", "--max-target-bytes", "0")
        return (self.program, "scan", *rules, *options, *more, "--", *paths)

    def files(self) -> dict[str, str]:
        """Return its rules."""
        return self._rules

    def read(self, said: Said, given: Sequence[Text]) -> Read:
        """Read its report; an error about no file is one about the rules."""
        found = _decode(said.report)
        general = next((each.message for each in found.errors if each.path is None), None)
        if general is not None:
            raise BadReport(general)
        broken = {each.path for each in found.errors}
        return Read(tuple(map(_told, found.results)), min(len(broken), len(given)))


def _told(each: _Result) -> Told:
    return Told(
        rule=each.check_id.rpartition(".")[2],
        severity=graded("semgrep", each.extra.severity),
        message=each.extra.message,
        path=within(each.path),
        line=each.start.line,
        end_line=each.end.line,
    )
