"""The port of scanners: who looks at a workspace, within which bounds, and what is told of it.

A scanner is given what was seen: the files, which it reads as `beneath` does, those of them that are texts within the
bounds, and a way to run commands there, for the programs of others. It never writes.

An adapter for a program (`ruff`, `bandit`) lies in `runwright.scanners`: it runs the program over `seen.texts`, reads
its report, and returns a `Report` of `Match`es whose `rule_id` is `<tool>:<rule>`. A program that is not there is a
report with the status `not_run` and a reason, never no findings.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from runwright.config import Settings
from runwright.domain.finding import Match, Status
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.command import Command, Ended, Hear


class ScanBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How far a look goes; what is beyond is counted as skipped, and findings beyond the most as not told."""

    file_max_bytes: int = 1 << 20
    line_max: int = 5_000
    bytes: int = 64 << 20
    seconds: float = 300.0
    findings_max: int = 250
    memory_bytes: int = 1 << 30
    cpus: int = 1
    report_max_bytes: int = 16 << 20

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
            memory_bytes=settings.scan_memory_mb << 20,
            cpus=settings.scan_cpus,
            report_max_bytes=settings.scan_report_max_bytes,
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a scanner did, and what it found; `reason` says why it was not all, `more` were found and not kept.

    How many `seconds` it took, is found out by who asks it.
    """

    scanner: str
    status: Status
    files: int = 0
    matches: tuple[Match, ...] = ()
    reason: str | None = None
    more: int = 0
    seconds: float = 0.0


class Ground(Protocol):
    """Where a scanner looks: an open workspace."""

    @property
    def files(self) -> Beneath:
        """Return its files."""
        ...

    async def run(self, command: Command, heard: Hear | None = None) -> Ended:
        """Run a command in it; `heard` hears its outputs apart. Raises `NotStarted`."""
        ...


class Text(msgspec.Struct, frozen=True):
    """A file that was read and is a text: its path, its language and its size."""

    path: str
    language: str
    bytes: int


class Seen:
    """A ground that was looked through: its texts are what every scanner is given, and nothing else.

    `large` are paths of files that were passed over because they, or lines of them, are larger than people write.
    """

    def __init__(self, ground: Ground, texts: tuple[Text, ...], large: tuple[str, ...] = ()) -> None:
        self._ground = ground
        self.texts = texts
        self.large = large

    def paths(self) -> tuple[str, ...]:
        """Return the paths of all that may be a text, also of what programs write."""
        return (*(text.path for text in self.texts), *self.large)

    @property
    def files(self) -> Beneath:
        """Return its files."""
        return self._ground.files

    async def run(self, command: Command, heard: Hear | None = None) -> Ended:
        """Run a command that only reads. Raises `NotStarted`."""
        return await self._ground.run(command._replace(writable=False), heard)


class Scanner(Protocol):
    """Looks at a workspace for one kind of trouble."""

    name: str

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look, within the bounds, and tell; whatever goes wrong is a report that says so."""
        ...
