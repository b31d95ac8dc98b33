"""The fixers that can work here, in the order in which they are tried."""

from __future__ import annotations

from runwright.fixers import codemods, ruff
from runwright.fixers.codemods import Codemods
from runwright.fixers.dependencies import DependencyBumps
from runwright.fixers.port import Fixer
from runwright.fixers.ruff import RuffFixes
from runwright.sandbox.programs import ProgramMissing, found
from runwright.sandbox.scanner import ScanBounds

NAMES = (DependencyBumps.name, RuffFixes.name, Codemods.name)
"""Every fixer that may be here, by its name."""


def available(bounds: ScanBounds) -> tuple[Fixer, ...]:
    """Return the fixers whose programs are installed here."""
    made: tuple[tuple[str | None, Fixer], ...] = (
        (None, DependencyBumps()),
        (ruff.TOOL, RuffFixes(bounds)),
        (codemods.PROGRAM, Codemods(bounds)),
    )
    return tuple(fixer for program, fixer in made if program is None or _installed(program))


def _installed(program: str) -> bool:
    try:
        found(program)
    except ProgramMissing:
        return False
    return True
