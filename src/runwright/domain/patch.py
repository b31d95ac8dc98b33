"""Patches: what is to become of some files, whole, with what they held before; as text, a diff that git reads.

A patch is made by `draft.resolve` from what somebody wrote (`unified`, `edits`; found in a model's answer by `answer`),
or by `between` from two trees. It holds text alone. Its `text` is the same for equal patches, and read again over the
same tree it is the same patch: the digest of that text is what people approve, and the text is what is kept of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from runwright.domain.line_diff import Span, spans
from runwright.domain.patch_paths import checked, quoted
from runwright.domain.patch_refusal import PatchRefused

CONTEXT = 3
"""How many lines around a change a diff shows."""
NO_END = "\\ No newline at end of file"
FILE_MODE, PROGRAM_MODE = "100644", "100755"


MAX_BYTES, MAX_FILES, MAX_HUNKS = "RUNWRIGHT_PATCH_MAX_BYTES", "RUNWRIGHT_PATCH_MAX_FILES", "RUNWRIGHT_PATCH_MAX_HUNKS"
FILE_MAX_BYTES = "RUNWRIGHT_PATCH_FILE_MAX_BYTES"
"""The settings that say the bounds, for whoever is told of one."""


class PatchBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much a patch may be, as the settings say; `programs` tells whether it may change what can be executed."""

    bytes: int = 1 << 20
    files: int = 200
    hunks: int = 500
    file_bytes: int = 1 << 20
    programs: bool = False


class Change(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What becomes of a file: `before` is None of a new one, `after` of one that goes, `program` where that stays."""

    path: str
    before: str | None = None
    after: str | None = None
    moved_from: str | None = None
    program: bool | None = None

    @property
    def before_sha256(self) -> str | None:
        """Return the digest of what the file held, None where there was none."""
        return None if self.before is None else hashlib.sha256(self.before.encode()).hexdigest()

    @property
    def idle(self) -> bool:
        """Tell whether it changes nothing."""
        return self.before == self.after and self.moved_from is None and self.program is None


class FileStats(NamedTuple):
    """How many lines of a file are added and removed."""

    path: str
    added: int
    removed: int


class DiffStats(msgspec.Struct, frozen=True):
    """How large a patch is."""

    files: int
    added: int
    removed: int

    @property
    def lines(self) -> int:
        """Return how many lines change."""
        return self.added + self.removed


class Patch(msgspec.Struct, frozen=True):
    """Changes of files, in the order of their paths."""

    changes: tuple[Change, ...]

    @property
    def text(self) -> str:
        """Return the canonical diff."""
        return "".join(line for change in self.changes for line in _rendered(change))

    @property
    def sha256(self) -> str:
        """Return the digest of the canonical diff: the subject of an approval."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def paths(self) -> tuple[str, ...]:
        """Return every path that it touches, those that files are moved from among them."""
        return tuple(sorted({name for each in self.changes for name in (each.path, each.moved_from) if name}))

    @property
    def before(self) -> dict[str, str]:
        """Return what the files hold that it touches."""
        return {each.moved_from or each.path: each.before for each in self.changes if each.before is not None}

    @property
    def after(self) -> dict[str, str]:
        """Return what the files hold that it touches, once it is applied."""
        return {each.path: each.after for each in self.changes if each.after is not None}

    def applied(self, tree: Mapping[str, str]) -> dict[str, str]:
        """Return a tree with the patch applied. Raises `PatchRefused` for one that it was not made of."""
        for change in self.changes:
            found = tree.get(change.moved_from or change.path)
            if found != change.before or (change.moved_from is not None and change.path in tree):
                raise PatchRefused("mismatch", f"{change.path} is not what the patch was made of")
        left = {path: text for path, text in tree.items() if path not in self.before}
        return left | self.after


def made(changes: list[Change], bounds: PatchBounds) -> Patch:
    """Return the patch of some changes, without those that change nothing. Raises `PatchRefused`."""
    kept = sorted((each for each in changes if not each.idle), key=lambda each: each.path)
    if not kept:
        raise PatchRefused("nothing", "the patch changes nothing")
    if len(kept) > bounds.files:
        raise PatchRefused("too_large", f"the patch changes {len(kept)} files; {bounds.files} are allowed")
    touched: set[str] = set()
    for each in kept:
        _require_text(each, bounds)
        for path in {each.path, each.moved_from or each.path}:
            checked(path)
            if path in touched:
                raise PatchRefused("twice", f"{path} is changed twice; say all that becomes of a file in one place")
            touched.add(path)
    return Patch(tuple(kept))


def between(before: Mapping[str, str], after: Mapping[str, str], bounds: PatchBounds | None = None) -> Patch:
    """Return the patch that makes one tree of another. Raises `PatchRefused`."""
    paths = sorted({*before, *after})
    changes = [Change(path=path, before=before.get(path), after=after.get(path)) for path in paths]
    return made(changes, bounds or PatchBounds())


def diff_stats(patch: Patch) -> DiffStats:
    """Return how large a patch is."""
    each = file_stats(patch)
    return DiffStats(len(each), sum(file.added for file in each), sum(file.removed for file in each))


def file_stats(patch: Patch) -> list[FileStats]:
    """Return how many lines of each file a patch adds and removes."""
    found = []
    for change in patch.changes:
        changed = spans(lines_of(change.before or ""), lines_of(change.after or ""))
        added, removed = sum(s.new_end - s.new for s in changed), sum(s.old_end - s.old for s in changed)
        found.append(FileStats(change.path, added, removed))
    return found


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, each with its end; only a newline ends one."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _require_text(change: Change, bounds: PatchBounds) -> None:
    if change.program and not bounds.programs:
        raise PatchRefused("mode", f"{change.path} would become executable, which this patch may not do")
    for text in (change.before, change.after):
        if text is None:
            continue
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise PatchRefused("binary", f"{change.path} would hold characters that no file of text has") from None
        if "\0" in text:
            raise PatchRefused("binary", f"{change.path} is no text; a patch changes text alone")
        if size > bounds.file_bytes:
            raise PatchRefused("too_large", f"{change.path} has {size} bytes; {bounds.file_bytes} are allowed")


def _rendered(change: Change) -> Iterator[str]:
    source = change.moved_from or change.path
    yield f"diff --git {quoted('a/' + source)} {quoted('b/' + change.path)}\n"
    mode = PROGRAM_MODE if change.program else FILE_MODE
    if change.before is None:
        yield f"new file mode {mode}\n"
    elif change.after is None:
        yield f"deleted file mode {FILE_MODE}\n"
    elif change.program is not None:
        yield f"old mode {FILE_MODE if change.program else PROGRAM_MODE}\nnew mode {mode}\n"
    if change.moved_from is not None:
        yield f"rename from {quoted(source)}\nrename to {quoted(change.path)}\n"
    if (change.before or "") != (change.after or ""):
        yield f"--- {_side('a/' + source) if change.before is not None else '/dev/null'}\n"
        yield f"+++ {_side('b/' + change.path) if change.after is not None else '/dev/null'}\n"
        yield from _hunks(lines_of(change.before or ""), lines_of(change.after or ""))


def _side(path: str) -> str:
    """Return a path as its line of a diff ends: a tab tells where one with a space ends."""
    name = quoted(path)
    return f"{name}\t" if " " in name else name


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    for group in _groups(spans(old, new)):
        first, last = group[0], group[-1]
        ahead = min(CONTEXT, first.old)
        behind = min(CONTEXT, len(old) - last.old_end)
        counts = (last.old_end + behind - first.old + ahead, last.new_end + behind - first.new + ahead)
        yield f"@@ -{_range(first.old - ahead, counts[0])} +{_range(first.new - ahead, counts[1])} @@\n"
        at = first.old - ahead
        for span in group:
            yield from _marked(" ", old[at : span.old])
            yield from _marked("-", old[span.old : span.old_end])
            yield from _marked("+", new[span.new : span.new_end])
            at = span.old_end
        yield from _marked(" ", old[at : at + behind])


def _groups(changed: list[Span]) -> Iterator[list[Span]]:
    group: list[Span] = []
    for span in changed:
        if group and span.old - group[-1].old_end > 2 * CONTEXT:
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _range(start: int, count: int) -> str:
    return f"{start + (count > 0)},{count}"


def _marked(mark: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n{NO_END}\n"
