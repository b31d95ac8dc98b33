"""Codemods: patterns of code with what stands in their place, found by ast-grep on the lines of findings.

The rules ship with this package (`rules/`). Only what a finding names is rewritten, and a Python file that would no
longer parse is left as it is.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import yaml

from runwright.domain.finding import Finding, family
from runwright.domain.patch import Patch, PatchBounds, between
from runwright.domain.patch_refusal import PatchRefused
from runwright.fixers.apply import reader
from runwright.fixers.port import FILES_MAX, inside, said
from runwright.sandbox.command import inside as beside
from runwright.sandbox.sandbox import WORKSPACE
from runwright.sandbox.scanner import Ground, ScanBounds

PROGRAM = "ast-grep"
RULES = "codemods.yml"
_SHELL = re.compile(r"[|&;<>()$`\\\"'*?\[\]#~=%{}!\n\r]")
"""What a shell would read otherwise than as words."""
_SHELL_RULES = "shell-literal"


class _Point(msgspec.Struct):
    line: int


class _Bytes(msgspec.Struct):
    start: int
    end: int


class _Range(msgspec.Struct):
    start: _Point
    end: _Point


class _Named(msgspec.Struct):
    text: str


class _Variables(msgspec.Struct):
    single: dict[str, _Named] = {}


class _Hit(
    msgspec.Struct,
    rename={"rule_id": "ruleId", "offsets": "replacementOffsets", "variables": "metaVariables"},
):
    file: str
    range: _Range
    rule_id: str
    text: str
    replacement: str
    offsets: _Bytes
    variables: _Variables = msgspec.field(default_factory=_Variables)

    @property
    def path(self) -> str:
        """Return the file as the tree has it."""
        return self.file.removeprefix(f"{WORKSPACE}/")


_decode = msgspec.json.Decoder(_Hit).decode_lines


class Codemods:
    """Proposes what the shipped rules make of the lines of findings."""

    name = "codemods"

    def __init__(self, bounds: ScanBounds) -> None:
        self._bounds = bounds

    async def propose(self, ground: Ground, findings: Sequence[Finding], bounds: PatchBounds) -> Patch | None:
        """Return the patch of all that has one right answer, None where nothing has."""
        mended = {rule for rule, ids in mends().items() if ids & {family(each.rule_id) for each in findings}}
        ours = [
            each for each in findings if each.file and any(family(each.rule_id) in mends()[rule] for rule in mended)
        ]
        paths = sorted({each.file for each in ours if each.file.endswith((".py", ".pyi"))})[:FILES_MAX]
        if not paths:
            return None
        rules = "\n---\n".join(json.dumps(rule) for rule in shipped() if rule["id"] in mended)
        ignores = [
            word for sort in ("hidden", "dot", "vcs", "exclude", "global", "parent") for word in ("--no-ignore", sort)
        ]
        words = (PROGRAM, "scan", "--rule", beside(RULES), "--json=stream", *ignores, "--", *map(inside, paths))
        report = await said(ground, words, PROGRAM, self._bounds, {RULES: rules})
        try:
            hits = _decode(report or b"")
        except (msgspec.DecodeError, RecursionError):
            return None
        return _rewritten([hit for hit in hits if _named(hit, ours)], ground, bounds)


@cache
def shipped() -> tuple[Mapping[str, Any], ...]:
    """Return the rules that ship with this package."""
    text = resources.files("runwright.fixers").joinpath("rules").joinpath("python.yml").read_text()
    return tuple(yaml.safe_load_all(text))


@cache
def mends() -> Mapping[str, frozenset[str]]:
    """Return for each codemod the rules of scanners whose findings it is for."""
    return {rule["id"]: frozenset(rule["metadata"]["mends"]) for rule in shipped()}


def _named(hit: _Hit, findings: Iterable[Finding]) -> bool:
    """Tell whether a finding that the rule is for names one of the lines."""
    first, last = hit.range.start.line + 1, hit.range.end.line + 1
    return any(
        each.file == hit.path and family(each.rule_id) in mends().get(hit.rule_id, frozenset())
        and each.line <= last and first <= max(each.line, each.end_line)
        for each in findings
    )  # fmt: skip


def _rewritten(hits: Sequence[_Hit], ground: Ground, bounds: PatchBounds) -> Patch | None:
    read = reader(ground.files, bounds)
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for path in sorted({hit.path for hit in hits}):
        try:
            content = read(path)
            held = None if content is None else content.decode()
        except (PatchRefused, UnicodeDecodeError):
            continue
        if content is None or held is None:
            continue
        text = _replaced(content, [hit for hit in hits if hit.path == path])
        if text != held and _parses(text):
            before[path], after[path] = held, text
    return between(before, after, bounds) if after else None


def _replaced(content: bytes, hits: Sequence[_Hit]) -> str:
    """Return a file with what was found replaced, from its end; of two that overlap, the first to end counts."""
    limit = len(content)
    for hit in sorted(hits, key=lambda each: (-each.offsets.end, each.offsets.start, each.rule_id)):
        start, end = hit.offsets.start, hit.offsets.end
        new = _argv(hit) if hit.rule_id.startswith(_SHELL_RULES) else hit.replacement
        if new is None or end > limit or content[start:end] != hit.text.encode():
            continue
        content, limit = content[:start] + new.encode() + content[end:], start
    return content.decode()


def _argv(hit: _Hit) -> str | None:
    """Return a call without a shell, where its command is words alone; None where a shell would do more."""
    written = hit.variables.single.get("COMMAND", _Named("")).text
    try:
        command = ast.literal_eval(written)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(command, str) or not command.strip() or _SHELL.search(command):
        return None
    words = "[" + ", ".join(json.dumps(word, ensure_ascii=False) for word in shlex.split(command)) + "]"
    return hit.replacement.replace(written, words, 1)


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
