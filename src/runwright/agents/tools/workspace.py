"""The workspace of a run on this worker: rebuilt from its last snapshot when it is first needed, removed at the end.

After each call that may have changed it, it is either kept as a new snapshot or put back to the last one: so what is on
this machine is always what any other would rebuild.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import TypeVar

import msgspec

from runwright.agents.tools.bounds import ToolBounds
from runwright.domain.globs import Scope
from runwright.domain.workspace import WorkspaceSnapshot
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.command import Command, Ended, Hear, Hold, run_command
from runwright.sandbox.means import Means
from runwright.sandbox.snapshot import (
    DIRECTORY,
    EMPTY,
    Limits,
    Tree,
    TreeRefused,
    WorkspaceMismatch,
    pack,
    survey,
    unpack,
)
from runwright.sandbox.surely import surely, whole
from runwright.sandbox.workspace import Workspace

T = TypeVar("T")
_LAST = "last-snapshot"


class Snapshot(msgspec.Struct, frozen=True):
    """What a workspace holds after a call: the archive goes to an artifact, the rest into the event that names it."""

    told: WorkspaceSnapshot
    archive: bytes

    @property
    def tree_hash(self) -> str:
        """Return the digest of its tree."""
        return self.told.tree_hash


class Kept(msgspec.Struct, frozen=True):
    """The last snapshot of a run: its tree's digest, and how its archive is read."""

    tree_hash: str
    load: Callable[[], Awaitable[bytes]]


class NoWorkspace(Exception):
    """Say why there is no workspace on this machine."""


class OutOfScope(TreeRefused):
    """Say which paths were changed that may not be; they are as they were."""

    def __init__(self, paths: Sequence[str]) -> None:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        super().__init__(f"{paths[0]}{more} may not be changed in this run")
        self.paths = tuple(paths)


class RunWorkspace:
    """The workspace of one run; one call at a time may change it. To be closed.

    One that is not `writable` is there to be read: commands have it read-only, and tools do not write to it. In one
    with a `scope` nothing else is changed: what was is put back.
    """

    def __init__(
        self,
        means: Means | None,
        why: str,
        bounds: ToolBounds,
        run_id: str,
        last: Kept | None,
        *,
        writable: bool = True,
        scope: Scope | None = None,
    ) -> None:
        self.run_id = run_id
        self.writable = writable
        self._means = means
        self._why = why
        self._bounds = bounds
        self._last = last
        self._hash = EMPTY if last is None else last.tree_hash
        self._tree = Tree(())
        self._scope = None if scope in (None, Scope()) else scope
        self._home: Workspace | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Rebuild it, if it is not there yet.

        Raises `NoWorkspace`, `WorkspaceMismatch` when the last snapshot is not what it was, and what reading it raises.
        """
        if self._means is None:
            raise NoWorkspace(f"no sandbox works on this server: {self._why}")
        async with self._opening:
            if self._home is None:
                archive = None if self._last is None else await self._last.load()
                self._home = await self._rebuilt(self._means, archive)

    @property
    def files(self) -> Beneath:
        """Return its files, once it is open."""
        home, means = self._opened
        return Beneath(home.work, means.workspaces.uid, self.writable)

    async def lay(self, fill: Callable[[Beneath], Awaitable[T]]) -> tuple[T, Snapshot | None]:
        """Open it and have it filled with what the run begins with, whatever the run may change afterwards.

        Returns what `fill` did, and the first snapshot, None where nothing was laid. Raises what `open`, `fill` and
        `settle` raise; nothing of it is there then.
        """
        await self.open()
        home, means = self._opened
        try:
            filled = await fill(Beneath(home.work, means.workspaces.uid))
        except BaseException:
            await surely(self._put_back(home))
            raise
        return filled, await self._settled(home, allowed=True, laid=True)

    async def run(self, command: Command, heard: Hear | None = None, hold: Hold | None = None) -> Ended:
        """Run a command in it, once it is open; `heard` hears what it says while it runs, and `hold` gives it what it
        reads. Raises `NotStarted`.
        """
        home, means = self._opened
        bound = command._replace(writable=command.writable and self.writable)
        return await run_command(means, home.work, bound, heard, hold=hold)

    async def settle(self) -> Snapshot | None:
        """Return the snapshot of what was changed since the last one, None where nothing was.

        Raises `TreeRefused` for what cannot be kept; it is as it was at the last one then.
        """
        if self._home is None:
            return None
        return await self._settled(self._home, allowed=self.writable)

    def _require_scope(self, tree: Tree, *, laid: bool) -> None:
        """Raise `OutOfScope` for what was changed that may not be; what a run begins with is not changed by it."""
        if self._scope is None or laid:
            return
        before, now = set(self._tree.entries), set(tree.entries)
        changed = {entry.path for entry in before ^ now if entry.kind != DIRECTORY}
        outside = sorted(path for path in changed if not self._scope.allows(path))
        if outside:
            raise OutOfScope(outside)

    async def _settled(self, home: Workspace, *, allowed: bool, laid: bool = False) -> Snapshot | None:
        try:
            tree, tree_hash = await whole(asyncio.to_thread(_surveyed, home, self._bounds.tree))
            if tree_hash == self._hash:
                return None
            if not allowed:
                raise TreeRefused("this run may only read its workspace")
            self._require_scope(tree, laid=laid)
            archive, digest = await whole(asyncio.to_thread(_packed, home, tree, self._bounds.archive_max_bytes))
        except TreeRefused:
            await self._put_back(home)
            raise
        self._hash, self._tree = tree_hash, tree
        told = WorkspaceSnapshot(archive_sha256=digest, tree_hash=tree_hash, files=len(tree.entries), bytes=tree.bytes)
        return Snapshot(told, archive)

    async def put_back(self) -> None:
        """Forget what was changed since the last snapshot."""
        if self._home is not None:
            await self._put_back(self._home)

    async def close(self) -> None:
        """Remove it from this machine."""
        async with self._opening:
            if self._home is not None and self._means is not None:
                home, self._home = self._home, None
                await self._means.workspaces.remove(home)

    @property
    def _opened(self) -> tuple[Workspace, Means]:
        assert self._home is not None
        assert self._means is not None
        return self._home, self._means

    async def _put_back(self, home: Workspace) -> None:
        _, means = self._opened
        archive = await whole(asyncio.to_thread(_last_of, home))
        self._home = await self._rebuilt(means, archive)
        await means.workspaces.remove(home)

    async def _rebuilt(self, means: Means, archive: bytes | None) -> Workspace:
        home = await means.workspaces.make(self.run_id, {}, None)
        try:
            if archive is not None:
                uid = means.workspaces.uid
                self._tree = await whole(asyncio.to_thread(_restore, home, archive, self._bounds, uid, self._hash))
        except BaseException:
            await surely(means.workspaces.remove(home))
            raise
        return home


def _surveyed(home: Workspace, limits: Limits) -> tuple[Tree, str]:
    tree = survey(home.work, limits)
    return tree, tree.digest


def _packed(home: Workspace, tree: Tree, most_bytes: int) -> tuple[bytes, str]:
    archive = pack(home.work, tree)
    if len(archive) > most_bytes:
        told = (
            f"packed it has {len(archive)} bytes, and at most {most_bytes} can be kept (RUNWRIGHT_ARTIFACT_MAX_BYTES)"
        )
        raise TreeRefused(told)
    (home.directory / _LAST).write_bytes(archive)
    return archive, sha256(archive).hexdigest()


def _last_of(home: Workspace) -> bytes | None:
    path = home.directory / _LAST
    return path.read_bytes() if path.exists() else None


def _restore(home: Workspace, archive: bytes, bounds: ToolBounds, owner: int | None, tree_hash: str) -> Tree:
    found = unpack(archive, home.work, bounds.tree, owner)
    if found.digest != tree_hash:
        raise WorkspaceMismatch(f"the snapshot holds the tree {found.digest}, not {tree_hash}")
    (home.directory / _LAST).write_bytes(archive)
    return found
