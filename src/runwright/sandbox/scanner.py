"""The port of scanners: who looks at a workspace, within which bounds, and what is told of it.

A scanner is given the ground: the files, which it reads as `beneath` does, and a way to run commands there, for the
programs of others. It never writes; the runs of those whose mode says so could not.

An adapter for a program (`ruff`, `bandit`) is a class with a `name` and a `scan`, which runs the program by
`ground.run(Command(…, writable=False))`, reads its report, and returns a `Report` of `Match`es whose `rule_id` is
`<tool>:<rule>`. A program that is not there is a report with the status `not_run` and a reason, never no findings.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from runwright.config import Settings
from runwright.domain.finding import Match, Status
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.command import Command, Ended


class ScanBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How far a look goes; what is beyond is counted as skipped, and findings beyond the most as not told."""

    file_max_bytes: int = 1 << 20
    line_max: int = 5_000
    bytes: int = 64 << 20
    seconds: float = 60.0
    findings_max: int = 250

    @property
    def matches_max(self) -> int:
        """Return how many matches of a scanner are compared with each other; what is beyond is counted only."""
        return 40 * self.findings_max

    @classmethod
    def of(cls, settings: Settings) -> ScanBounds:
        """Return the bounds that the settings say."""
        return cls(
            file_max_bytes=settings.scan_file_max_bytes,
            line_max=settings.scan_line_max,
            bytes=settings.scan_max_bytes,
            seconds=settings.scan_s,
            findings_max=settings.scan_findings_max,
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a scanner did, and what it found; `reason` says why it was not all, `more` were found and not kept."""

    scanner: str
    status: Status
    files: int = 0
    matches: tuple[Match, ...] = ()
    reason: str | None = None
    more: int = 0


class Ground(Protocol):
    """Where a scanner looks: an open workspace."""

    @property
    def files(self) -> Beneath:
        """Return its files."""
        ...

    async def run(self, command: Command) -> Ended:
        """Run a command in it."""
        ...


class Scanner(Protocol):
    """Looks at a workspace for one kind of trouble."""

    name: str

    async def scan(self, ground: Ground, bounds: ScanBounds) -> Report:
        """Look, within the bounds, and tell; whatever goes wrong is a report that says so."""
        ...
