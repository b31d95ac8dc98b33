"""Which scanners there are, which of them are installed here, and those that somebody chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runwright.sandbox.programs import ProgramMissing, found
from runwright.sandbox.scanner import Report, ScanBounds, Scanner, Seen
from runwright.scanners import ruff
from runwright.scanners.ast_grep import AstGrep
from runwright.scanners.bandit import Bandit
from runwright.scanners.zizmor import Zizmor

INSTALLED, NONE = "installed", "none"


class Kind:
    """A sort of scanner: how one is made, and which program it needs."""

    def __init__(self, make: Callable[[], Scanner], program: str | None) -> None:
        self.make = make
        self.program = program

    @property
    def missing(self) -> str | None:
        """Return why it cannot run here, None where it can."""
        if self.program is None:
            return None
        try:
            found(self.program)
        except ProgramMissing as why:
            return str(why)
        return None


KINDS: Mapping[str, Kind] = {
    "ruff": Kind(ruff.security, "ruff"),
    "ruff_lint": Kind(ruff.lint, "ruff"),
    "bandit": Kind(Bandit, "bandit"),
    "zizmor": Kind(Zizmor, "zizmor"),
    "ast_grep": Kind(AstGrep, "ast-grep"),
}
"""The scanners that a setting or a policy may name."""


class Absent:
    """Stands for a scanner that cannot be: it says so whenever it is asked to look."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Tell that nothing was looked at."""
        return Report(scanner=self.name, status="not_run", reason=self._why)


def available(names: Sequence[str] = (INSTALLED,)) -> tuple[Scanner, ...]:
    """Return the scanners of these names; `installed` stands for all that can run here.

    One that is named and cannot run is there all the same, and reports `not_run`.
    """
    wanted = dict.fromkeys(name for name in names if name not in {INSTALLED, NONE})
    if INSTALLED in names:
        wanted |= dict.fromkeys(name for name, kind in KINDS.items() if kind.missing is None)
    return tuple(_made(name) for name in wanted)


def _made(name: str) -> Scanner:
    kind = KINDS.get(name)
    return Absent(name, "there is no scanner of that name") if kind is None else kind.make()
