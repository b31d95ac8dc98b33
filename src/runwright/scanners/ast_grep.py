"""Ast-grep: patterns of code, by rules of ours and by those of a repository's base.

It runs in a directory that is empty, so that no `sgconfig.yml` of the tree can load a library or turn languages about.
A comment that silences it cannot be switched off: files that hold one are given to it with that word broken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec
import yaml

from runwright.domain.severities import graded
from runwright.sandbox.command import inside
from runwright.sandbox.scanner import Report, ScanBounds, Seen, Text
from runwright.scanners.program import Read, Said, looked, of_language
from runwright.scanners.told import Told, within

TOOL = "ast_grep"
RULES = "ast-grep-rules.yml"
RULES_MAX = 1 << 20
_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "bash": ("Shell",), "c": ("C",), "cpp": ("C++", "C"), "csharp": ("C#",), "css": ("CSS",), "dart": ("Dart",),
    "elixir": ("Elixir",), "go": ("Go",), "haskell": ("Haskell",), "hcl": ("HCL",), "html": ("HTML",),
    "java": ("Java",), "javascript": ("JavaScript",), "json": ("JSON",), "kotlin": ("Kotlin",), "lua": ("Lua",),
    "nix": ("Nix",), "php": ("PHP",), "python": ("Python",), "ruby": ("Ruby",), "rust": ("Rust",),
    "scala": ("Scala",), "solidity": (), "swift": ("Swift",), "tsx": ("TypeScript",), "typescript": ("TypeScript",),
    "yaml": ("YAML",),
}  # fmt: skip
"""Its languages by their names, and ours. It goes by the ends of names, as we do."""
_LANGUAGE = re.compile(r"(?:^|[\s{,])[\"']?language[\"']?[ \t]*:[ \t]*[\"']?(\w{1,20})", re.MULTILINE)


class _Point(msgspec.Struct):
    line: int


class _Range(msgspec.Struct):
    start: _Point
    end: _Point


class _Hit(msgspec.Struct, rename={"rule_id": "ruleId"}):
    file: str
    range: _Range
    rule_id: str
    severity: str
    message: str


_decode = msgspec.json.Decoder(_Hit).decode_lines


class AstGrep:
    """Runs ast-grep with our rules and those of a repository, given as texts by their paths."""

    name = tool = TOOL
    program = "ast-grep"
    good = frozenset({0, 1})
    silencer = "ast-grep-ignore"

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        self._rules = "\n---\n".join((shipped(), *(own or {}).values()))
        self._languages = {ours for each in _LANGUAGE.findall(self._rules) for ours in _LANGUAGES.get(each.lower(), ())}

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look at the files in the languages that there are rules for."""
        if len(self._rules.encode()) > RULES_MAX:
            why = f"the rules have more than {RULES_MAX} bytes"
            return Report(scanner=self.name, status="not_run", reason=why)
        return await looked(self, ground, of_language(ground, *self._languages), bounds)

    def words(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return its command line; `1` is its answer where a rule that is an error has matched."""
        ignores = [
            word for sort in ("hidden", "dot", "vcs", "exclude", "global", "parent") for word in ("--no-ignore", sort)
        ]
        return (self.program, "scan", "--rule", inside(RULES), "--json=stream", *ignores, "--", *paths)

    def files(self) -> dict[str, str]:
        """Return its rules."""
        return {RULES: self._rules}

    def read(self, said: Said, given: Sequence[Text]) -> Read:
        """Read its lines of JSON."""
        return Read(tuple(map(_told, _decode(said.report))))


@lru_cache(maxsize=1)
def shipped() -> str:
    """Return our rules as ast-grep reads them, one for each language; what follows `@` only tells them apart."""
    files = sorted(resources.files("runwright.scanners").joinpath("rules").iterdir(), key=lambda file: file.name)
    rules = [rule for file in files for rule in yaml.safe_load_all(file.read_text())]
    return "\n---\n".join(_one(rule, each) for rule in rules for each in rule.get("languages") or [rule["language"]])


def _one(rule: Mapping[str, Any], language: str) -> str:
    told = {key: value for key, value in rule.items() if key != "languages"}
    return msgspec.json.encode(told | {"id": f"{rule['id']}@{language}", "language": language}).decode()


def _told(each: _Hit) -> Told:
    return Told(
        rule=each.rule_id.partition("@")[0],
        severity=graded("ast-grep", each.severity),
        message=each.message,
        path=within(each.file),
        line=each.range.start.line + 1,
        end_line=each.range.end.line + 1,
    )
