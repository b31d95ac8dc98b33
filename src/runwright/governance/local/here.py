"""The repository that somebody works in: its files as they are, and its base, which says what counts.

Git is asked here as its owner would ask it, in their own checkout, with the means off by which a tree could make it run
something; it lists and compares, and everything else is done in the sandbox.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

OUTPUT_MAX = 256 << 20
TIMEOUT_S = 120
_OFF = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=false", "diff.external=", "core.pager=cat")
_NOT_OURS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


class NotHere(Exception):
    """Say why there is nothing to judge, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """A directory: its files as they are now, and, in a repository, what has changed since its base.

    `moves` are the files that were renamed since, their old names to the new; `base` None: nothing was committed, and
    without `is_repository` nothing can be.
    """

    root: Path
    paths: tuple[str, ...]
    head: str | None = None
    base: str | None = None
    changed: frozenset[str] = frozenset()
    moves: dict[str, str] = {}
    is_repository: bool = True

    def of_base(self, path: str) -> bytes | None:
        """Return what a file holds in the base; None where it has none, or is no file there."""
        if self.base is None:
            return None
        listed = _git(self.root, "ls-tree", "-z", self.base, "--", path)
        kind, _, rest = listed.partition(b" ")
        if kind not in (b"100644", b"100755"):
            return None
        oid = rest.split(b" ", 1)[1].split(b"\t")[0].decode()
        return _git(self.root, "cat-file", "blob", oid)

    def is_odd(self, path: str) -> bool:
        """Tell whether something is there in the base that is no file: a link, or a directory."""
        if self.base is None:
            there = self.root / path
            return there.is_symlink() or (there.exists() and not there.is_file())
        listed = _git(self.root, "ls-tree", "-z", self.base, "--", path)
        return bool(listed) and not listed.startswith((b"100644", b"100755"))

    def beneath_base(self, path: str) -> dict[str, bytes]:
        """Return the files of the base at a path or beneath it; of the directory where nothing was committed."""
        path = path.rstrip("/")
        if self.base is None:
            names = [name for name in self.paths if name == path or name.startswith(f"{path}/")]
            read = self.of_tree
        else:
            names = _names(_git(self.root, "ls-tree", "-r", "-z", "--name-only", self.base, "--", path))
            read = self.of_base
        return {name: data for name in names if (data := read(name)) is not None}

    def of_tree(self, path: str) -> bytes | None:
        """Return what a file holds now; None where there is none, or it is a link."""
        there = self.root / path
        if any(part.is_symlink() for part in (there, *there.parents) if part.is_relative_to(self.root)):
            return None
        return there.read_bytes() if there.is_file() else None


def look_here(path: Path, base: str | None) -> Here:
    """Return the repository that a directory lies in, or the directory itself where it lies in none.

    Raises `NotHere`.
    """
    if not path.is_dir():
        raise NotHere(f"{path} is no directory", "Name a directory with --path.")
    try:
        root = Path(os.fsdecode(_git(path, "rev-parse", "--show-toplevel")).removesuffix("\n"))
    except NotHere as why:
        if base is not None or "not a git repository" not in str(why):
            raise
        return Here(root=path.resolve(), paths=tuple(_walked(path.resolve())), is_repository=False)
    head = _commit(root, "HEAD")
    judged = head
    if base is not None:
        named = _commit(root, base)
        if head is None or named is None:
            raise NotHere(f"{base} names no commit of this repository", "Fetch it, or name another with --base.")
        judged = _left(root, head, named, base)
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    paths = tuple(sorted({name.rstrip("/") for name in _names(listed) if _is_there(root, name)}))
    changed, moves = (frozenset(paths), {}) if judged is None else _changed(root, judged)
    return Here(root=root, paths=paths, head=head, base=judged, changed=changed, moves=moves)


def _left(root: Path, head: str, named: str, base: str) -> str:
    """Return the commit where a branch left its base."""
    try:
        return _git(root, "merge-base", head, named).decode().strip()
    except NotHere:
        hint = "Fetch more of the history (such as fetch-depth: 0), or name another commit with --base."
        raise NotHere(f"HEAD and {base} have no commit in common here", hint) from None


def _changed(root: Path, base: str) -> tuple[frozenset[str], dict[str, str]]:
    told = _git(root, "diff", "--name-status", "-M", "-z", "--no-ext-diff", "--no-textconv", base, "--")
    words = _names(told)
    changed = set(_names(_git(root, "ls-files", "-z", "--others", "--exclude-standard")))
    moves: dict[str, str] = {}
    while words:
        status = words.pop(0)
        name = words.pop(0)
        if status[:1] in "RC":
            before, name = name, words.pop(0)
            if status[:1] == "R":
                moves[before] = name
        changed.add(name)
    return frozenset(changed), moves


def _names(listed: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def _is_there(root: Path, name: str) -> bool:
    """Tell whether a name that git lists is to be taken or told: a file, a link, or another repository."""
    there = root / name
    if there.is_symlink() or not there.is_dir():
        return os.path.lexists(there)
    return os.path.lexists(there / ".git") or not any(there.iterdir())


def _walked(root: Path) -> list[str]:
    found: list[str] = []
    for directory, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if name != ".git" and not Path(directory, name).is_symlink())
        found += [str(Path(directory, name).relative_to(root)) for name in files]
    return sorted(found)


def _commit(root: Path, name: str) -> str | None:
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip()
    except NotHere:
        return None


def _git(root: Path, *words: str) -> bytes:
    env = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    env |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    options = [word for option in _OFF for word in ("-c", option)]
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *options, *words], env=env, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise NotHere("git is not installed", "Install git: the base of a change is read by it.") from None
    except subprocess.TimeoutExpired:
        raise NotHere(f"git {words[0]} took longer than {TIMEOUT_S} s") from None
    if done.returncode != 0 or len(done.stdout) > OUTPUT_MAX:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise NotHere(f"git {words[0]}: {said[-1] if said else f'it ended with {done.returncode}'}")
    return done.stdout
