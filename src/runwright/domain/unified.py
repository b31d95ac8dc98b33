"""Read a unified diff, as git writes it or plain, strictly: whatever is not understood is refused with its line.

Renames, new, deleted and empty files and ends without a newline are read; copies, binary changes, links, submodules and
combined diffs are not, and no line that belongs to nothing is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from runwright.domain.draft import Draft, FileDraft, Hunk
from runwright.domain.patch import FILE_MODE, MAX_BYTES, MAX_FILES, MAX_HUNKS, PROGRAM_MODE, PatchBounds
from runwright.domain.patch_paths import checked, unquoted
from runwright.domain.patch_refusal import PatchRefused

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@(?: .*)?\Z", re.DOTALL)
_PASSED = re.compile(r"(?:index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}(?: \d{6})?|(?:dis)?similarity index \d{1,3}%)\Z")
_MODE = re.compile(r"(old mode|new mode|new file mode|deleted file mode) (\d{6})\Z")
_NOTHING = "/dev/null"
_BINARY = ("GIT binary patch", "Binary files ")
_STARTS = ("diff --git ", "--- ")


def parse_unified(text: str, bounds: PatchBounds) -> Draft:
    """Return what a unified diff says. Raises `PatchRefused`, naming the line."""
    if len(text.encode("utf-8", "replace")) > bounds.bytes:
        raise PatchRefused("too_large", f"the diff has more than {bounds.bytes} bytes ({MAX_BYTES})")
    lines = text.split("\n")
    if all(line.endswith("\r") for line in lines if line.startswith((*_STARTS, "+++ ", "@@ "))):
        lines = text.replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    reader = _Reader(lines)
    files: list[FileDraft] = []
    hunks = 0
    while reader.more():
        files.append(reader.file())
        hunks += len(files[-1].hunks)
        if len(files) > bounds.files or hunks > bounds.hunks:
            told = f"{bounds.files} files ({MAX_FILES}) or {bounds.hunks} hunks ({MAX_HUNKS})"
            raise PatchRefused("too_large", f"the diff has more than {told}")
    if not files:
        raise PatchRefused("nothing", "there is no diff")
    return tuple(files)


class _Head:
    """What stands before the hunks of a file."""

    def __init__(self) -> None:
        self.names: tuple[str, str] | None = None
        self.moved: dict[str, str] = {}
        self.modes: dict[str, str] = {}
        self.sides: tuple[str | None, str | None] | None = None


class _Reader:
    """Reads the lines of a diff from the first to the last."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    def more(self) -> bool:
        """Pass over blank lines; tell whether there is another."""
        while self._at < len(self._lines) and not self._lines[self._at].strip():
            self._at += 1
        return self._at < len(self._lines)

    def file(self) -> FileDraft:
        """Return what follows of one file."""
        head = _Head()
        line = self._here()
        if line.startswith("diff --git "):
            self._at += 1
            head.names = _names(line[len("diff --git ") :], self._wrong)
            self._extended(head)
        elif not line.startswith("--- "):
            raise self._wrong("a file begins with `diff --git a/… b/…` or with `--- a/…`")
        if self._here().startswith("--- "):
            self._sides(head)
        return self._drafted(head)

    def _here(self) -> str:
        return self._lines[self._at] if self._at < len(self._lines) else ""

    def _wrong(self, why: str) -> PatchRefused:
        return PatchRefused("malformed", f"line {self._at + 1} of the diff, {self._here()[:100]!r}: {why}")

    def _extended(self, head: _Head) -> None:
        while (line := self._here()) and not line.startswith(_STARTS):
            if found := _MODE.match(line):
                head.modes[found[1]] = self._mode(found[2])
            elif line.startswith(("rename from ", "rename to ")):
                word, _, name = line.removeprefix("rename ").partition(" ")
                head.moved[word] = _name(name)
            elif line.startswith(_BINARY):
                raise PatchRefused("binary", f"line {self._at + 1} of the diff: binary changes are not taken")
            elif line.startswith("copy "):
                raise self._wrong("copies are not taken; give the new file as a whole")
            elif not _PASSED.match(line):
                raise self._wrong("this is no line of a diff of git")
            self._at += 1

    def _mode(self, mode: str) -> str:
        if mode not in {FILE_MODE, PROGRAM_MODE}:
            raise PatchRefused(
                "mode", f"line {self._at + 1} of the diff: links, submodules and other modes are not taken"
            )
        return mode

    def _sides(self, head: _Head) -> None:
        old = _side(self._here()[4:])
        self._at += 1
        if not self._here().startswith("+++ "):
            raise self._wrong("a line `+++ …` follows `--- …`")
        new = _side(self._here()[4:])
        self._at += 1
        head.sides = (None if old == _NOTHING else old, None if new == _NOTHING else new)
        if not self._here().startswith("@@ "):
            raise self._wrong("hunks follow, each beginning with `@@ -line,count +line,count @@`")

    def _drafted(self, head: _Head) -> FileDraft:
        old, new = self._paths(head)
        hunks = self._hunks()
        created, deleted = old is None, new is None
        path = new if new is not None else old
        if path is None or (created and deleted):
            raise self._wrong("both sides are /dev/null")
        if created != ("new file mode" in head.modes) and head.names is not None:
            raise self._wrong("`new file mode` and `--- /dev/null` come together")
        if deleted != ("deleted file mode" in head.modes) and head.names is not None:
            raise self._wrong("`deleted file mode` and `+++ /dev/null` come together")
        if (created and (len(hunks) > 1 or any(hunk.old for hunk in hunks))) or (deleted and any(h.new for h in hunks)):
            raise self._wrong(
                "a new file has added lines alone, in one hunk, and one that goes has removed lines alone"
            )
        moved = old if old != new and not created and not deleted else None
        return FileDraft(
            path=path,
            new=created,
            delete=deleted,
            hunks=hunks,
            moved_from=moved,
            program=_program(head.modes),
        )

    def _paths(self, head: _Head) -> tuple[str | None, str | None]:
        """Return the names of a file before and after, which every line that has them must agree about."""
        if head.names is None:
            old, new = _plain(head.sides or (None, None))
            if old is not None and new is not None and old != new:
                raise self._wrong(f"{old} and {new} are two files; a rename says `rename from` and `rename to`")
            return old, new
        said = head.names
        if head.moved and set(head.moved) != {"from", "to"}:
            raise self._wrong("`rename from` and `rename to` come together")
        moved = (head.moved["from"], head.moved["to"]) if head.moved else None
        if moved is not None and said not in {(f"a/{moved[0]}", f"b/{moved[1]}"), ("", "")}:
            raise self._wrong("the names of the rename are others than those of `diff --git`")
        if head.sides is not None:
            old, new = _stripped(head.sides[0], "a/", self._wrong), _stripped(head.sides[1], "b/", self._wrong)
        elif moved is not None:
            old, new = moved
        elif said == ("", ""):
            raise self._wrong("the names in `diff --git` cannot be told apart")
        else:
            same = _stripped(said[1], "b/", self._wrong)
            old, new = (
                (None if "new file mode" in head.modes else same),
                (None if "deleted file mode" in head.modes else same),
            )
        self._agree(head, said, moved, old, new)
        return old, new

    def _agree(
        self, head: _Head, said: tuple[str, str], moved: tuple[str, str] | None, old: str | None, new: str | None
    ) -> None:
        if said != ("", "") and ((old or new) != said[0][2:] or (new or old) != said[1][2:]):
            raise self._wrong("the names of `---` and `+++` are others than those of `diff --git`")
        if old is not None and new is not None and old != new and moved != (old, new):
            raise self._wrong(f"{old} and {new} are two files; a rename says `rename from` and `rename to`")
        if moved is not None and (old, new) != moved:
            raise self._wrong("the names of the rename are others than those of `---` and `+++`")
        if head.sides is None and not head.modes and moved is None:
            raise self._wrong("nothing is said of this file")

    def _hunks(self) -> tuple[Hunk, ...]:
        hunks: list[Hunk] = []
        while found := _HUNK.match(self._here()):
            self._at += 1
            start, old, _, new = (int(each) if each is not None else 1 for each in found.groups())
            hunks.append(self._hunk(start + (old == 0), old, new))
        if self._here().startswith("@@"):
            raise self._wrong("a hunk begins with `@@ -line,count +line,count @@`")
        return tuple(hunks)

    def _hunk(self, line: int, old: int, new: int) -> Hunk:
        sides: tuple[list[str], list[str]] = ([], [])
        last: tuple[int, ...] = ()
        closed: set[int] = set()
        while len(sides[0]) < old or len(sides[1]) < new or self._here().startswith("\\"):
            if self._at >= len(self._lines):
                raise self._wrong("the hunk has fewer lines than its head counts")
            text = self._here()
            if text.startswith("\\"):
                self._unended(sides, last, closed)
            else:
                last = {" ": (0, 1), "-": (0,), "+": (1,), "": (0, 1)}.get(text[:1], ())
                if not last or any(side in closed for side in last):
                    raise self._wrong("a line of a hunk begins with a space, + or -")
                for side in last:
                    sides[side].append(text[1:] + "\n")
                if len(sides[0]) > old or len(sides[1]) > new:
                    raise self._wrong("the hunk has more lines than its head counts")
            self._at += 1
        if self._here()[:1] in {" ", "+"} or (self._here()[:1] == "-" and not self._here().startswith("--- ")):
            raise self._wrong("the hunk has more lines than its head counts")
        return Hunk(line, "".join(sides[0]), "".join(sides[1]))

    def _unended(self, sides: tuple[list[str], list[str]], last: tuple[int, ...], closed: set[int]) -> None:
        if not last or any(side in closed for side in last):
            raise self._wrong("it says of no line that it has no end")
        for side in last:
            sides[side][-1] = sides[side][-1].removesuffix("\n")
            closed.add(side)


def _program(modes: dict[str, str]) -> bool | None:
    if modes.get("new file mode") == PROGRAM_MODE:
        return True
    if "new mode" in modes and modes.get("old mode") != modes["new mode"]:
        return modes["new mode"] == PROGRAM_MODE
    return None


def _name(text: str) -> str:
    return unquoted(text) if text.startswith('"') else text


def _side(text: str) -> str:
    """Return the name on a line `---` or `+++`; what follows a tab is a time."""
    return unquoted(text.partition("\t")[0]) if text.startswith('"') else text.partition("\t")[0]


def _names(text: str, wrong: Callable[[str], PatchRefused]) -> tuple[str, str]:
    """Return both names of `diff --git`; two empty ones where a space may be in either."""
    if text.startswith('"') or text.endswith('"'):
        found = re.fullmatch(r'("(?:[^"\\]|\\.)*"|\S+) ("(?:[^"\\]|\\.)*"|\S+)', text)
        if found is None:
            raise wrong("two names follow `diff --git`")
        names = _name(found[1]), _name(found[2])
    else:
        half = len(text) // 2
        one, other = text[:half], text[half + 1 :]
        parts = text.split(" ")
        if len(parts) == 2:
            names = parts[0], parts[1]
        elif one[2:] == other[2:] and text[half : half + 1] == " ":
            names = one, other
        else:
            return "", ""
    if not names[0].startswith("a/") or not names[1].startswith("b/"):
        raise wrong("the names after `diff --git` begin with a/ and b/")
    return names


def _stripped(name: str | None, prefix: str, wrong: Callable[[str], PatchRefused]) -> str | None:
    if name is None:
        return None
    if not name.startswith(prefix):
        raise wrong(f"the name {name[:100]!r} begins with {prefix}")
    return checked(name[len(prefix) :])


def _plain(sides: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
    """Return the names of a diff without git's head, which have both prefixes or none."""
    old, new = sides
    if (old is None or old.startswith("a/")) and (new is None or new.startswith("b/")):
        old, new = (None if old is None else old[2:]), (None if new is None else new[2:])
    return (None if old is None else checked(old)), (None if new is None else checked(new))
