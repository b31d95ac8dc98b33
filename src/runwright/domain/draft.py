"""What somebody wrote to become a patch, and the patch that it is over a tree: exact, or refused with the reason.

Nothing is guessed. What a hunk says was there must be there, on the line that it names or else in exactly one place;
what an edit replaces must be in the file exactly once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import msgspec

from runwright.domain.patch import FILE_MAX_BYTES, MAX_FILES, MAX_HUNKS, Change, Patch, PatchBounds, made
from runwright.domain.patch_paths import checked
from runwright.domain.patch_refusal import PatchRefused

_LINE_END = re.compile("\n")
Read = Callable[[str], bytes | None]
"""Returns what a file of the tree holds, None where there is none; raises `PatchRefused` for what is no file."""


class Hunk(msgspec.Struct, frozen=True):
    """Text that stands where a file's `line` begins (counted from 1), and the text in its place."""

    line: int
    old: str
    new: str


class Replaced(msgspec.Struct, frozen=True):
    """A text that a file holds once, and the text in its place."""

    find: str
    replace: str


class FileDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of one file: a new text, or hunks or replacements over the old one, a new name, or its end.

    `new` says that there must be none before; `content` is None where the text follows from the old one.
    """

    path: str
    new: bool = False
    delete: bool = False
    content: str | None = None
    hunks: tuple[Hunk, ...] = ()
    replaced: tuple[Replaced, ...] = ()
    moved_from: str | None = None
    program: bool | None = None
    form: Literal["diff", "edits"] = "diff"


Draft = tuple[FileDraft, ...]


def resolve(draft: Draft, read: Read, bounds: PatchBounds) -> Patch:
    """Return the patch that a draft is over a tree. Raises `PatchRefused`."""
    if len(draft) > bounds.files:
        raise PatchRefused(
            "too_large", f"the patch changes {len(draft)} files; {bounds.files} are allowed ({MAX_FILES})"
        )
    if sum(len(each.hunks) + len(each.replaced) for each in draft) > bounds.hunks:
        raise PatchRefused("too_large", f"the patch has more than {bounds.hunks} hunks ({MAX_HUNKS})")
    return made([_change(each, read, bounds) for each in draft], bounds)


def _change(draft: FileDraft, read: Read, bounds: PatchBounds) -> Change:
    source = checked(draft.moved_from or draft.path)
    checked(draft.path)
    before = _text(source, read(source), bounds)
    if draft.new and before is not None:
        raise PatchRefused("exists", f"{source} is there already; change it, or choose another name")
    if draft.moved_from is not None and read(draft.path) is not None:
        raise PatchRefused("exists", f"{draft.path} is there already; nothing is moved onto it")
    if before is None and not draft.new and (draft.content is None or draft.delete):
        raise PatchRefused("missing", f"there is no {source}")
    return Change(
        path=draft.path,
        before=before,
        after=_after(draft, before or ""),
        moved_from=draft.moved_from,
        program=draft.program,
    )


def _after(draft: FileDraft, before: str) -> str | None:
    """Return what the file holds afterwards. A diff that deletes says all that goes."""
    if draft.content is not None:
        return draft.content
    whole = _windows(before)
    after = _replaced(draft.path, before, draft.replaced, windows=whole)
    after = _patched(draft.path, after, draft.hunks, windows=whole)
    if not draft.delete:
        return after
    if draft.form == "diff" and after:
        raise PatchRefused("mismatch", f"{draft.path} is deleted, but holds more than the diff says")
    return None


def _text(path: str, content: bytes | None, bounds: PatchBounds) -> str | None:
    if content is None:
        return None
    if len(content) > bounds.file_bytes:
        raise PatchRefused(
            "too_large", f"{path} has {len(content)} bytes; {bounds.file_bytes} are allowed ({FILE_MAX_BYTES})"
        )
    try:
        if b"\0" not in content:
            return content.decode()
    except UnicodeDecodeError:
        pass
    raise PatchRefused("binary", f"{path} is no text (UTF-8); a patch changes text alone")


def _windows(text: str) -> bool:
    """Tell whether every line of a text ends as on Windows."""
    return "\r\n" in text and text.count("\r\n") == text.count("\n")


def _replaced(path: str, text: str, edits: tuple[Replaced, ...], *, windows: bool) -> str:
    for each in edits:
        find, replace = each.find, each.replace
        if windows and "\r" not in find + replace:
            find, replace = find.replace("\n", "\r\n"), replace.replace("\n", "\r\n")
        at = text.find(find)
        if at < 0:
            raise PatchRefused("mismatch", f"{path} does not hold {_shown(find)}; copy the text exactly")
        if text.find(find, at + 1) >= 0:
            raise PatchRefused(
                "ambiguous", f"{path} holds {_shown(find)} more than once; say more of what is around it"
            )
        text = text[:at] + replace + text[at + len(find) :]
    return text


def _patched(path: str, text: str, hunks: tuple[Hunk, ...], *, windows: bool) -> str:
    if not hunks:
        return text
    windows = windows and not any("\r" in hunk.old + hunk.new for hunk in hunks)
    starts = [0, *(found.end() for found in _LINE_END.finditer(text))]
    pieces: list[str] = []
    done = 0
    for number, hunk in enumerate(hunks, 1):
        old, new = hunk.old, hunk.new
        if windows:
            old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
        stated = starts[hunk.line - 1] if 0 < hunk.line <= len(starts) else -1
        at = _place(path, text, old, done, stated, number)
        pieces += [text[done:at], new]
        done = at + len(old)
    return "".join((*pieces, text[done:]))


def _place(path: str, text: str, old: str, done: int, stated: int, number: int) -> int:
    """Return where a hunk's old text stands: as the hunk says, else in the only place there is."""
    if not old:
        if not text:
            return 0
        raise PatchRefused("ambiguous", f"hunk {number} of {path} has no line of the file around it; say where it goes")
    if stated >= done and _fits(text, old, stated):
        return stated
    places = _search(text, old, done)
    if not places:
        why = "copy the lines around the change exactly as they are, with their white space"
        raise PatchRefused(
            "mismatch", f"hunk {number} of {path} does not fit the file: {_shown(old)} is not there; {why}"
        )
    if len(places) > 1:
        raise PatchRefused("ambiguous", f"hunk {number} of {path} fits more than one place, and not the line it names")
    return places[0]


def _fits(text: str, old: str, at: int) -> bool:
    return text.startswith(old, at) and (old.endswith("\n") or at + len(old) == len(text))


def _search(text: str, old: str, start: int) -> list[int]:
    """Return the first two places where whole lines stand."""
    found: list[int] = []
    if _fits(text, old, start):
        found.append(start)
    at = text.find("\n" + old, start)
    while at >= 0 and len(found) < 2:
        if at + 1 > start and _fits(text, old, at + 1):
            found.append(at + 1)
        at = text.find("\n" + old, at + 1)
    return found


def _shown(text: str) -> str:
    """Return the first line of a text that says something, for a message."""
    line = next((line for line in text.split("\n") if line.strip()), text)
    return repr(line[:80])
