"""What a delivery asks of a forge, and how a forge says no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from runwright.domain.delivery_events import Code
from runwright.domain.delivery_terms import OnNoDrafts
from runwright.domain.git_objects import Format

HEADS = "refs/heads/"
BUSY_S = 30
"""How long a caller is asked to wait where a forge does not say it."""


class Refused(Exception):
    """Say why a forge does not take something; the words hold no secret and nothing of a query."""

    def __init__(
        self, code: Code, message: str, *, retryable: bool | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.code: Code = code
        self.retryable = code == "FORGE_ERROR" if retryable is None else retryable
        self.retry_after_s = retry_after_s


class Refs(NamedTuple):
    """What a repository says that it has: refs by their whole names, and the branch that is its default."""

    oids: Mapping[str, str]
    default: str | None = None


class Update(NamedTuple):
    """A ref to be made: nothing that is there is moved."""

    name: str
    oid: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request to be opened."""

    branch: str
    commit_sha: str
    base: str
    title: str
    body: str
    draft: bool = True
    if_no_drafts: OnNoDrafts = "stop"
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()


class Opened(msgspec.Struct, frozen=True):
    """A pull request that is open; `warning` is what of it the forge did not take."""

    number: int
    url: str
    reused: bool
    warning: str | None = None


class Remote(Protocol):
    """A repository that takes objects."""

    async def refs(self) -> Refs:
        """Return what it has. Raises `Refused`."""
        ...

    async def push(self, updates: Sequence[Update], objects: Sequence[tuple[bytes, bytes]], format: Format) -> None:
        """Store objects (kinds and contents) and make refs that are not there, all or none. Raises `Refused`."""
        ...


class Forge(Protocol):
    """A repository with pull requests."""

    @property
    def provider(self) -> str:
        """What it is: local, github, gitlab or gitea."""
        ...

    @property
    def remote(self) -> Remote:
        """Where branches go."""
        ...

    async def require_free(self, branch: str, refs: Refs) -> None:
        """Raise `Refused` (`PROTECTED_BRANCH`) for a branch that is not for everybody to write."""
        ...

    async def open(self, wanted: Wanted) -> Opened:
        """Find the open pull request of a branch, or open one. Raises `Refused`."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class Pushing(NamedTuple):
    """What goes along with a branch; `stops`: not where the branch `base` has gone on from `base_sha`."""

    objects: Sequence[tuple[bytes, bytes]]
    format: Format
    base: str | None
    base_sha: str | None
    stops: bool


async def push_branch(forge: Forge, branch: str, commit: str, pushed: Pushing) -> bool:
    """Let a branch have a commit; return whether it had it before. A branch with another one stays as it is.

    Raises `Refused`.
    """
    name = HEADS + branch
    refs = await forge.remote.refs()
    there = refs.oids.get(name)
    if there == commit:
        return True
    if branch in {refs.default, pushed.base}:
        raise Refused("PROTECTED_BRANCH", f"{branch} is the branch that others build upon; nothing is pushed to it")
    if there is not None:
        message = f"the branch {branch} is there with another commit ({there}); name another branch"
        raise Refused("PUSH_REJECTED", message)
    require_base(refs, pushed)
    await forge.require_free(branch, refs)
    await forge.remote.push([Update(name, commit)], pushed.objects, pushed.format)
    return False


def require_base(refs: Refs, pushed: Pushing) -> None:
    """Raise `Refused` (`BASE_MOVED`) where the branch that a commit is for has gone on."""
    base = pushed.base or refs.default
    if not pushed.stops or base is None:
        return
    now = refs.oids.get(HEADS + base)
    if now is not None and now != pushed.base_sha:
        message = f"{base} is at {now} by now, and the run began at {pushed.base_sha or 'no commit'}"
        raise Refused("BASE_MOVED", f"{message}: make the run anew, or say if_base_moved=deliver")
