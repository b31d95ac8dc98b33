"""A directory in which programs scan, in the sandbox of this machine."""

import os
from pathlib import Path

from runwright.clock import SystemClock
from runwright.domain.finding import Finding
from runwright.domain.redaction import Redactor
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.command import Command, Ended, Hear, run_command
from runwright.sandbox.means import Means
from runwright.sandbox.scanner import ScanBounds, Scanner
from runwright.scanners.look import Look, look

BOUNDS = ScanBounds(seconds=60)


class Tree:
    """A ground to write files to, and to look through."""

    def __init__(self, means: Means, root: Path) -> None:
        self.root = root
        self._means = means
        self.commands = 0

    @property
    def files(self) -> Beneath:
        """Return its files."""
        return Beneath(self.root, None)

    async def run(self, command: Command, heard: Hear | None = None) -> Ended:
        """Run a command in it."""
        self.commands += 1
        return await run_command(self._means, self.root, command, heard)

    def write(self, files: dict[str, str | bytes]) -> None:
        """Write files that everybody may read."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        for directory, _, _ in os.walk(self.root):
            Path(directory).chmod(0o755)

    async def look(self, *scanners: Scanner, bounds: ScanBounds = BOUNDS, without: tuple[str, ...] = ()) -> Look:
        """Look through it with scanners."""
        return await look(self, scanners, bounds, Redactor(), SystemClock(), without=without)


def told(seen: Look, tool: str) -> list[tuple[str, str, str, int]]:
    """Return severity, rule, file and line of what a tool found, by place."""
    found = sorted((each for each in seen.findings if tool in each.sources), key=_place)
    return [(each.severity, each.rule_id, each.file, each.line) for each in found]


def _place(finding: Finding) -> tuple[str, int, str]:
    return (finding.file, finding.line, finding.rule_id)
