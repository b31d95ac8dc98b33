"""Patches by somebody who was shown a tree without its secrets: a mark stands in the place of each.

What they wrote fits the files as they were shown. Lines that it leaves alone or moves within their file keep what was
not shown, and no other line that it writes may hold a mark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from runwright.domain.draft import Draft, Read, resolve
from runwright.domain.line_diff import spans
from runwright.domain.patch import Change, Patch, PatchBounds, lines_of, made
from runwright.domain.patch_refusal import PatchRefused

MARK = "[redacted:"
"""What a mark begins with."""


def resolve_masked(draft: Draft, read: Read, mask: Callable[[str], str], bounds: PatchBounds) -> Patch:
    """Return the patch that a draft is over a tree of which its author saw what `mask` leaves.

    Raises `PatchRefused`.
    """

    def shown(path: str) -> bytes | None:
        content = read(path)
        try:
            return None if content is None else mask(content.decode()).encode()
        except UnicodeDecodeError:
            return content

    patch = resolve(draft, shown, bounds)
    for change in patch.changes:
        if change.before is None and MARK in change.path:
            raise PatchRefused("mismatch", f"{change.path} is no name of a file: a secret stands in the real one")
    return made([_unmasked(change, read) for change in patch.changes], bounds)


def _unmasked(change: Change, read: Read) -> Change:
    """Return a change over what its file really holds."""
    before = None if change.before is None else (read(change.moved_from or change.path) or b"").decode()
    if before is None or change.before is None or change.after is None:
        _require_no_mark(lines_of(change.after or ""))
        return replace(change, before=before)
    real, known, after = lines_of(before), lines_of(change.before), lines_of(change.after)
    if len(real) != len(known):
        raise PatchRefused("mismatch", f"{change.path} holds a secret of several lines: people alone may change it")
    lines: list[str] = []
    at = 0
    hidden: dict[str, set[str]] = {}
    for line, found in zip(known, real, strict=True):
        hidden.setdefault(line, set()).add(found)
    for span in spans(known, after):
        written = [_meant(line, hidden.get(line, set())) for line in after[span.new : span.new_end]]
        _require_no_mark(written)
        lines += real[at : span.old] + written
        at = span.old_end
    return replace(change, before=before, after="".join(lines + real[at:]))


def _meant(line: str, hidden: set[str]) -> str:
    """Return the line of the file that a line with a mark stands for, where there is but one: it was moved."""
    return next(iter(hidden)) if MARK in line and len(hidden) == 1 else line


def _require_no_mark(lines: Sequence[str]) -> None:
    if any(MARK in line for line in lines):
        raise PatchRefused("malformed", "it writes the mark of a secret into a file")
