"""Which scanners there are, which of them can run here, and those that settings or a policy choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from runwright.config import Settings
from runwright.domain.policy_file import PolicyFile
from runwright.domain.policy_terms import Scanning
from runwright.domain.scan_rules import BUILT_IN
from runwright.sandbox.programs import ProgramMissing, found
from runwright.sandbox.scanner import Report, ScanBounds, Scanner, Seen
from runwright.scanners import ruff
from runwright.scanners.advisories import Shelf, given
from runwright.scanners.ast_grep import AstGrep
from runwright.scanners.bandit import Bandit
from runwright.scanners.dependencies import NO_SOURCE, Dependencies, Source
from runwright.scanners.patterns import Patterns
from runwright.scanners.sarif import written
from runwright.scanners.semgrep import NO_RULES, Semgrep
from runwright.scanners.zizmor import Zizmor

INSTALLED, NONE = "installed", "none"
Base = Callable[[str], Mapping[str, bytes]]
"""Returns the files of a base at a path or beneath it, by their paths: none where there is nothing."""


class Scanners(msgspec.Struct, frozen=True):
    """What a server knows of scanners: those that run by default, commands that are some, and where advisories lie."""

    names: tuple[str, ...] = (INSTALLED,)
    commands: tuple[str, ...] = ()
    advisories: Source | None = None

    @classmethod
    def of(cls, settings: Settings) -> Scanners:
        """Return what the settings say."""
        source = None if settings.scan_advisories is None else _shelf(settings.scan_advisories).advisories
        return cls(settings.scanners, settings.scan_commands, source)

    def chosen(self) -> tuple[Scanner, ...]:
        """Return those that look by default. One that is named and cannot run reports `not_run`."""
        wanted = dict.fromkeys(name for name in self.names if name not in {INSTALLED, NONE, *BUILT_IN})
        if INSTALLED in self.names:
            wanted |= dict.fromkeys(name for name in KINDS if name != "semgrep" and program_missing(name) is None)
        named = [self._named(name) for name in wanted]
        return (*named, *self._commanded([each.name for each in named]))

    def of_policy(self, policy: PolicyFile, base: Base) -> tuple[Scanner, ...]:
        """Return those that a policy lets look, with rules and advisories of the base; and what it forbids."""
        found: list[Scanner] = []
        for name, said in policy.scanners.items():
            if said.enabled and name not in BUILT_IN:
                found.append(self._with(name, said, base))
        if policy.forbid_patterns:
            found.append(Patterns(policy.forbid_patterns))
        return (*found, *self._commanded([each.name for each in found]))

    def missing(self, name: str) -> str | None:
        """Return why a scanner cannot run here, None where it can."""
        if name == "dependencies" and self.advisories is None:
            return NO_SOURCE
        return program_missing(name) or (NO_RULES if name == "semgrep" else None)

    def _named(self, name: str) -> Scanner:
        return self._with(name, Scanning(gate=""), _nothing)

    def _with(self, name: str, said: Scanning, base: Base) -> Scanner:
        if name == "dependencies":
            return Dependencies(self.advisories if said.database is None else _kept(base(said.database)))
        if name not in KINDS:
            return Absent(name, "there is no scanner of that name")
        rules = None if said.rules is None else _rules(base(said.rules))
        if said.rules is not None and not rules:
            return Absent(name, f"the base has no rules at {said.rules}")
        if name == "semgrep":
            return Semgrep(rules)
        return AstGrep(rules) if name == "ast_grep" else _PLAIN[name]()

    def _commanded(self, taken: Sequence[str]) -> list[Scanner]:
        return [_commanded(text, (*taken, *BUILT_IN)) for text in self.commands]


def available(names: Sequence[str] = (INSTALLED,)) -> tuple[Scanner, ...]:
    """Return the scanners of these names, without rules or advisories of anybody's."""
    return Scanners(tuple(names)).chosen()


class Absent:
    """Stands for a scanner that cannot be: it says so whenever it is asked to look."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Tell that nothing was looked at."""
        return Report(scanner=self.name, status="not_run", reason=self._why)


KINDS: Mapping[str, str | None] = {
    "ruff": "ruff",
    "ruff_lint": "ruff",
    "bandit": "bandit",
    "zizmor": "zizmor",
    "ast_grep": "ast-grep",
    "semgrep": "semgrep",
    "dependencies": None,
}
"""The scanners that may be named, and the program that each needs."""
_PLAIN: Mapping[str, Callable[[], Scanner]] = {
    "ruff": ruff.security,
    "ruff_lint": ruff.lint,
    "bandit": Bandit,
    "zizmor": Zizmor,
}
_RULE_ENDS = (".yml", ".yaml")


def program_missing(name: str) -> str | None:
    """Return why a scanner's program is not here, None where it is, or none is needed."""
    program = KINDS.get(name)
    try:
        if program is not None:
            found(program)
    except ProgramMissing as why:
        return str(why)
    return None


def _rules(files: Mapping[str, bytes]) -> dict[str, str]:
    texts = {path: data.decode("utf-8", "replace") for path, data in sorted(files.items())}
    return {path: text for path, text in texts.items() if path.endswith(_RULE_ENDS)}


def _kept(files: Mapping[str, bytes]) -> Source:
    advisories = given(files)
    return lambda: advisories


def _nothing(path: str) -> Mapping[str, bytes]:
    return {}


def _commanded(text: str, taken: Sequence[str]) -> Scanner:
    name = text.partition("=")[0]
    if name in taken:
        return Absent(name, "there is another scanner of that name")
    try:
        return written(text)
    except ValueError as why:
        return Absent(name, f"its command cannot be read: {why}")


@lru_cache(maxsize=8)
def _shelf(path: str) -> Shelf:
    """Return the one source of a path: what is known of it is kept for the next look."""
    return Shelf(Path(path))
