"""From what a program told to matches: only of files that it was given, in plain words, with the code around them.

A program repeats what the tree holds: its names and its messages are a stranger's. Characters that would move a
cursor or turn the order of letters are written out, and nothing is longer than somebody reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

import msgspec

from runwright.domain.finding import Match, Severity, symbol, window
from runwright.sandbox import beneath
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.sandbox import WORKSPACE
from runwright.sandbox.scanner import ScanBounds, Seen, Text

MESSAGE_MAX = 500
RULE_MAX = 200
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]")
_NO_RULE = re.compile(r"[^A-Za-z0-9._/@+-]")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a program says of a line of a file; a `line` of 0 means the whole file."""

    rule: str
    severity: Severity
    message: str
    path: str
    line: int = 0
    end_line: int = 0
    confidence: float = 1.0


def plain(text: str, most: int = MESSAGE_MAX) -> str:
    """Return a text on one line, with characters that nobody sees written out, and not longer than `most`."""
    text = _UNSEEN.sub(lambda found: " " if found[0] in "\n\r\t" else f"\\u{ord(found[0]):04x}", text[: 2 * most])
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def speakable(path: str) -> bool:
    """Tell whether a path may be given to a program: one with unseen characters could make its report lie."""
    return _UNSEEN.search(path) is None


def within(path: str) -> str:
    """Return a path of a report as the tree has it."""
    return path.removeprefix(f"{WORKSPACE}/").removeprefix("./")


def matches(
    tool: str, told: Iterable[Told], seen: Seen, given: Iterable[Text], bounds: ScanBounds
) -> tuple[Match, ...]:
    """Return the matches of what was told of files that were given; the rest is nobody's."""
    texts = {text.path for text in given}
    found: list[Match] = []
    by_path: dict[str, list[Told]] = {}
    for each in told:
        if each.path in texts:
            by_path.setdefault(each.path, []).append(each)
    for path, of_file in by_path.items():
        lines = (read(seen.files, path, bounds.file_max_bytes) or "").split("\n")
        found += [_match(tool, each, lines) for each in of_file]
    return tuple(found)


def _match(tool: str, told: Told, lines: list[str]) -> Match:
    line = told.line if 0 < told.line <= len(lines) else 0
    return Match(
        rule_id=f"{tool}:{_NO_RULE.sub('-', told.rule[:RULE_MAX]) or 'unnamed'}",
        severity=told.severity,
        message=plain(told.message) or "it says nothing of it",
        tool=tool,
        file=told.path,
        line=line,
        end_line=min(max(told.end_line, line), len(lines)) if line else 0,
        confidence=told.confidence,
        window=window(lines, line, line) if line else "",
        symbol=symbol(lines, line, told.path) if line else "",
    )


def read(files: Beneath, path: str, most: int) -> str | None:
    """Return what a file of the tree says, no link followed; None where there is none, or it is too large."""
    *parts, name = path.split("/")
    try:
        with beneath.directory(files.root, tuple(parts)) as fd, os.fdopen(beneath.opened(fd, name, path), "rb") as file:
            content = file.read(most + 1)
    except (OSError, beneath.Outside, ValueError):
        return None
    return None if len(content) > most else content.decode("utf-8", "replace")


def read_all(files: Beneath, given: Iterable[Text], most: int) -> Mapping[str, str]:
    """Return what files say, of those that can still be read."""
    texts = ((text.path, read(files, text.path, most)) for text in given)
    return {path: text for path, text in texts if text is not None}
