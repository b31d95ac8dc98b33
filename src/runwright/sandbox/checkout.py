"""Check out a repository into a workspace: the files of one commit, and nothing that a repository may do.

Use, for a run whose workspace is new (`RunWorkspace.lay` opens it, and keeps what was laid as its first snapshot)::

    repositories = Repositories.of(settings, means)
    checkout, snapshot = await place.lay(lambda files: repositories.check_out(files, repo, ref))
    # store snapshot.archive as an artifact, then append `workspace.checked_out` (domain/repository_events.CheckedOut)

From then on the run's workspace is rebuilt from that snapshot, by any worker, and nothing is fetched again; where the
log does not have it yet, the checkout is made again (`head_sha` names the commit, if it is known already).

A path of this server is read as a copy of what git stores, an address over one relayed connection; both by a git in the
sandbox (`git`, `copying`, `remote`). What lies in the workspace is written here, file by file: no hook, filter, end of
line, link that leads out, submodule or pointer of LFS is obeyed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec

from runwright.config import Settings
from runwright.domain.addresses import Url
from runwright.domain.git_objects import Leaf
from runwright.domain.inventory import Skip, Skipped
from runwright.domain.repository import Local, is_sha, read_repository, require_ref
from runwright.outbound.guard import Resolver, resolve
from runwright.sandbox import beneath
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.copying import copy_repository
from runwright.sandbox.git import SOURCE, Git, Limits, Listed, Taken, copied
from runwright.sandbox.means import Means
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.relay import URL, Allowance, Credential, Relay
from runwright.sandbox.remote import Remotes, Way
from runwright.sandbox.snapshot import PATH_MAX_BYTES, TreeRefused, link_target, survey
from runwright.sandbox.snapshot import Limits as TreeLimits
from runwright.sandbox.surely import surely, whole

T = TypeVar("T")
Authorize = Callable[[str], Awaitable[str | None]]
"""Returns the header by which a repository is opened; None for one that everybody may read."""
PIECE_BYTES = 1 << 20
_LINK, _PROGRAM, _SUBMODULE = "120000", "100755", "160000"
_FORBIDDEN = frozenset({"", ".", "..", ".git"})


class CheckoutBounds(msgspec.Struct, frozen=True, kw_only=True):
    """Which repositories are read, and how much of them."""

    roots: tuple[str, ...] = ()
    allow_private: bool = False
    tree: TreeLimits = TreeLimits(20_000, 64 << 20)
    file_max_bytes: int = 16 << 20
    repository_max_bytes: int = 256 << 20
    timeout_s: float = 300.0
    memory_bytes: int = 512 << 20

    @classmethod
    def of(cls, settings: Settings) -> CheckoutBounds:
        """Return the bounds that the settings say."""
        return cls(
            roots=settings.repository_roots,
            allow_private=settings.repository_private,
            tree=TreeLimits(settings.runtime_workspace_max_files, settings.runtime_workspace_max_bytes),
            file_max_bytes=settings.repository_file_max_bytes,
            repository_max_bytes=settings.repository_max_bytes,
            timeout_s=settings.repository_timeout_s,
            memory_bytes=settings.agent_tool_memory_mb << 20,
        )


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked out: `ref` is a whole name. `left_out` is what the commit has and the workspace has not.

    `leaves` is all that the commit has by its path, of which the workspace lacks what is `kept`; `root` is its tree. A
    broken one has a name `twice`.
    """

    ref: str | None
    head_sha: str | None
    left_out: tuple[Skipped, ...] = ()
    hooks: tuple[str, ...] = ()
    leaves: Mapping[bytes, Leaf] = {}
    kept: frozenset[bytes] = frozenset()
    root: str | None = None
    twice: bool = False


class Base(NamedTuple):
    """What a commit has, by its path; what of it a checkout leaves out; its tree; and the hash of what was laid."""

    leaves: Mapping[bytes, Leaf]
    kept: frozenset[bytes]
    root: str | None
    tree_hash: str


class Repositories:
    """The repositories that this server reads."""

    def __init__(
        self,
        means: Means,
        bounds: CheckoutBounds,
        *,
        resolver: Resolver = resolve,
        certificates: ssl.SSLContext | None = None,
        authorize: Authorize | None = None,
    ) -> None:
        self._means = means
        self._authorize = authorize
        self._bounds = bounds
        self._resolver = resolver
        self._certificates = certificates

    @classmethod
    def of(cls, settings: Settings, means: Means, authorize: Authorize | None = None) -> Repositories:
        """Return the repositories that the settings let be read; `authorize` opens those that not everybody may."""
        return cls(means, CheckoutBounds.of(settings), authorize=authorize)

    async def check_out(self, into: Beneath, repo: str, ref: str | None, *, head_sha: str | None = None) -> Checkout:
        """Lay the files of a commit into an empty directory: that of `head_sha`, of `ref`, or of the default branch.

        Raises `InvalidRequest` for a repository that may not be named, `CheckoutRefused` for one that cannot be read,
        and `NotStarted`.
        """
        bounds = self._bounds
        where = read_repository(repo, bounds.roots, allow_private=bounds.allow_private)
        if ref is not None:
            require_ref(ref)
        scratch = await self._means.workspaces.make("checkout", {}, None)
        try:
            limits = Limits(bounds.timeout_s, bounds.memory_bytes)
            if isinstance(where, Local):
                uid = self._means.workspaces.uid
                to = scratch.work / SOURCE
                seen = await whole(asyncio.to_thread(copy_repository, where, to, uid, bounds.repository_max_bytes))
                git = Git(self._means, scratch.work, copied(), limits)
                return _told(*await self._laid(git, into, head_sha or ref), ref, seen.hooks)
            shown = None if self._authorize is None else await self._authorize(repo)
            return _told(*await self._fetched(where, limits, scratch.work, into, head_sha or ref, shown), ref, ())
        finally:
            await surely(self._means.workspaces.remove(scratch))

    async def look_back(self, repo: str, head_sha: str, see: Callable[[Base, Path], T]) -> T:
        """Check a commit out once more, and return what `see` makes of it, in a thread, while its files lie there.

        Raises what `check_out` and `see` raise.
        """
        place = await self._means.workspaces.make("base", {}, None)
        try:
            found = await self.check_out(Beneath(place.work, self._means.workspaces.uid), repo, None, head_sha=head_sha)
            return await whole(asyncio.to_thread(self._seen, found, place.work, see))
        finally:
            await surely(self._means.workspaces.remove(place))

    def _seen(self, found: Checkout, files: Path, see: Callable[[Base, Path], T]) -> T:
        if found.twice:
            raise CheckoutRefused("repo.broken", "the tree of the commit has a name twice; nothing is built upon it")
        return see(Base(found.leaves, found.kept, found.root, survey(files, self._bounds.tree).digest), files)

    async def _fetched(
        self, url: Url, limits: Limits, scratch: Path, into: Beneath, ref: str | None, shown: str | None
    ) -> tuple[Taken, _Plan]:
        remotes = Remotes(
            self._means.clock,
            allow_private=self._bounds.allow_private,
            resolver=self._resolver,
            certificates=self._certificates,
        )
        way, to = await remotes.find(url, shown)
        credential = None if shown is None or to.origin != url.origin else _reading(way, shown)
        allowance = Allowance(self._bounds.repository_max_bytes)  # of all commands of this checkout

        def relay(listener: socket.socket) -> Relay:
            connect = partial(remotes.connect, to)
            return Relay(listener, way.origin, connect=connect, allowance=allowance, credential=credential)

        try:
            return await self._laid(Git(self._means, scratch, way.inside, limits, relay), into, ref)
        except CheckoutRefused as why:
            if allowance.exceeded:
                most = self._bounds.repository_max_bytes
                message = f"the repository sends more than {most} bytes (RUNWRIGHT_REPOSITORY_MAX_BYTES)"
                raise CheckoutRefused("repo.too_large", message) from why
            raise

    async def _laid(self, git: Git, into: Beneath, ref: str | None) -> tuple[Taken, _Plan]:
        taken = await git.take(ref)
        plan = _Plan(taken.listed(), self._bounds)
        if plan.wanted:
            contents = await git.contents(plan.oids)
            await whole(asyncio.to_thread(plan.lay, contents, into))
        return taken, plan


def _reading(way: Way, shown: str) -> Credential:
    """Return a credential for what git asks when it reads a repository."""
    path = way.inside.removeprefix(URL)
    return Credential(shown, frozenset({f"{path}/info/refs", f"{path}/git-upload-pack"}))


def _told(taken: Taken, plan: _Plan, ref: str | None, hooks: tuple[str, ...]) -> Checkout:
    named = taken.ref if taken.ref is not None and not is_sha(taken.ref) else ref
    return Checkout(
        ref=named,
        head_sha=taken.head_sha,
        left_out=tuple(plan.left_out),
        hooks=hooks,
        leaves=plan.leaves,
        kept=plan.kept,
        root=taken.root,
        twice=plan.twice,
    )


class _Plan:
    """Which of a commit's files are laid where; the others are left out, each with its reason."""

    def __init__(self, listed: Iterable[Listed], bounds: CheckoutBounds) -> None:
        self._bounds = bounds
        self.wanted: dict[str, list[tuple[str, str]]] = {}
        self.left_out: list[Skipped] = []
        self.leaves: dict[bytes, Leaf] = {}
        self.twice = False
        self._bytes = 0
        directories: set[str] = set()
        for count, entry in enumerate(listed, 1):
            self.twice = self.twice or entry.path in self.leaves
            self.leaves[entry.path] = Leaf(entry.mode, entry.oid)
            path, reason = self._judged(entry)
            if reason is not None:
                self.left_out.append(Skipped(path, reason, entry.size or 0))
            else:
                self.wanted.setdefault(entry.oid, []).append((path, entry.mode))
                self._bytes += entry.size or 0
                directories.update(_above(path))
            if count + len(directories) > bounds.tree.files:
                most = f"{bounds.tree.files} files and directories (RUNWRIGHT_RUNTIME_WORKSPACE_MAX_FILES)"
                raise CheckoutRefused("repo.too_large", f"the commit has more than {most}")
        if self._bytes > bounds.tree.bytes:
            most = f"{bounds.tree.bytes} bytes (RUNWRIGHT_RUNTIME_WORKSPACE_MAX_BYTES)"
            raise CheckoutRefused("repo.too_large", f"the files of the commit hold more than {most}")

    @property
    def oids(self) -> list[str]:
        """Return the objects that are wanted, each once."""
        return list(self.wanted)

    @property
    def kept(self) -> frozenset[bytes]:
        """Return the paths of what was not laid; complete once the files are written."""
        out = {skipped.path for skipped in self.left_out}
        laid = {path.encode() for places in self.wanted.values() for path, _ in places if path not in out}
        return frozenset(self.leaves.keys() - laid)

    def _judged(self, entry: Listed) -> tuple[str, Skip | None]:
        try:
            path = entry.path.decode()
        except UnicodeDecodeError:
            return entry.path.decode("utf-8", "backslashreplace"), "name_not_utf8"
        parts = path.split("/")
        if any(part.lower() in _FORBIDDEN for part in parts):
            return path, "name_forbidden"
        longest = max(len(os.fsencode(part)) for part in parts)
        if len(entry.path) > PATH_MAX_BYTES or len(parts) > beneath.PARTS_MAX or longest > beneath.NAME_MAX:
            return path[:PATH_MAX_BYTES], "path_too_long"
        if entry.mode == _SUBMODULE or entry.size is None:
            return path, "submodule"
        most = PATH_MAX_BYTES if entry.mode == _LINK else self._bounds.file_max_bytes
        if entry.size > most:
            return path, "link_leads_out" if entry.mode == _LINK else "too_large"
        return path, None

    def lay(self, contents: Path, into: Beneath) -> None:
        """Write the files; links come last, so that nothing could be written through one. Raises `CheckoutRefused`."""
        links: list[tuple[str, bytes]] = []
        with contents.open("rb") as file:
            for oid, places in self.wanted.items():
                size = _head(file, oid)
                ends = [path for path, mode in places if mode == _LINK]
                plain = [(path, mode == _PROGRAM) for path, mode in places if mode != _LINK]
                if ends:
                    target = file.read(size)
                    file.seek(-len(target), os.SEEK_CUR)
                    links += [(path, target) for path in ends]
                self._files(file, size, plain, into)
                file.read(1)  # the end of its line
        for path, target in links:
            self._link(path, target, into)

    def _files(self, file: BinaryIO, size: int, places: list[tuple[str, bool]], into: Beneath) -> None:
        begin = file.tell()
        for path, program in places:
            file.seek(begin)
            try:
                _write(into, path, file, size, program=program)
            except (FileExistsError, IsADirectoryError, beneath.Outside):
                self.left_out.append(Skipped(path, "name_twice", size))
        file.seek(begin + size)

    def _link(self, path: str, raw: bytes, into: Beneath) -> None:
        reason: Skip = "link_leads_out"
        try:
            target = link_target(path, raw.decode())
            *parents, name = path.split("/")
            with beneath.directory(into.root, tuple(parents), make_for=into) as fd:
                os.symlink(target, name, dir_fd=fd)
                if into.owner is not None:
                    os.chown(name, into.owner, into.owner, dir_fd=fd, follow_symlinks=False)
        except (FileExistsError, beneath.Outside):
            reason = "name_twice"
        except (TreeRefused, UnicodeDecodeError, ValueError, OSError):
            pass
        else:
            return
        self.left_out.append(Skipped(path, reason, len(raw)))


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _head(file: BinaryIO, oid: str) -> int:
    """Return how many bytes an object holds that is next in a file. Raises `CheckoutRefused` when it is another."""
    told = file.readline(256).split()
    if len(told) != 3 or told[0] != oid.encode() or told[1] != b"blob":
        raise CheckoutRefused("repo.broken", "the repository lacks a file of the commit, or has another in its place")
    return int(told[2])


def _write(into: Beneath, path: str, file: BinaryIO, size: int, *, program: bool) -> None:
    *parents, name = path.split("/")
    mode = 0o755 if program else 0o644
    with beneath.directory(into.root, tuple(parents), make_for=into) as fd:
        out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
        with os.fdopen(out, "wb") as to:
            while size > 0:
                piece = file.read(min(PIECE_BYTES, size))
                if not piece:
                    raise CheckoutRefused("repo.broken", "git did not give all of a file")
                to.write(piece)
                size -= len(piece)
            os.fchmod(to.fileno(), mode)
            if into.owner is not None:
                os.fchown(to.fileno(), into.owner, into.owner)
