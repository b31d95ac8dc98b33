"""Git, in the sandbox: asked for one commit and its files, with everything off by which others could lead it.

It runs as nobody, without a network but the one way that it is given, with no configuration but ours, no hooks,
filters, attributes, helpers, prompts, submodules and templates. It never makes a work tree: what files hold is read out
of its store, and written by us. Whatever a repository makes it do happens in a directory that is removed afterwards.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from runwright.domain.repository import candidates, is_sha
from runwright.sandbox.beneath import directory, opened
from runwright.sandbox.command import Command, Ended, inside, run_command
from runwright.sandbox.means import Means
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.relay import Relay
from runwright.sandbox.sandbox import WORKSPACE
from runwright.sandbox.surely import whole

SOURCE = "source"
"""The directory of the scratch in which a repository of this machine is copied."""
LISTING_MAX = 64 << 20
_SMALL_MAX = 1 << 20
_CONFIG = """[core]
    hooksPath = /dev/null
    attributesFile = /dev/null
    excludesFile = /dev/null
    askPass = /bin/false
    pager = cat
    fsmonitor = false
    bigFileThreshold = 4m
[credential]
    helper =
[http]
    followRedirects = false
    lowSpeedLimit = 100
    lowSpeedTime = 60
[fetch]
    recurseSubmodules = false
    unpackLimit = 1
    writeCommitGraph = false
[submodule]
    recurse = false
[gc]
    auto = 0
[maintenance]
    auto = false
[pack]
    threads = 1
    windowMemory = 64m
[transfer]
    credentialsInUrl = die
[init]
    defaultBranch = main
"""
_LOOK = """
source=$1; shift
command -v git > /dev/null || exit 97
git ls-remote --symref "$source" "$@" > refs || exit 90
test -s refs || { git ls-remote "$source" | head -c 1000 > any; }
"""
_TAKE = """
git init --quiet --bare --template= --object-format="$1" taken || exit 93
cd taken || exit 93
git fetch --quiet --depth=1 --no-tags --no-recurse-submodules --no-write-fetch-head "$2" "+$3:refs/taken" || exit 91
git rev-parse --verify --quiet "refs/taken^{commit}" > ../head || exit 92
git rev-parse --verify --quiet "refs/taken^{tree}" > ../root || exit 92
{ git ls-tree -r -z -l --full-tree "$(cat ../head)"; echo "$?" > ../listed; } | head -c "$4" > ../listing
"""
_READ = "exec git -C taken cat-file --batch --buffer < wanted > contents"
_NO_GIT, _NO_REMOTE, _NOT_FETCHED, _NO_COMMIT = 97, 90, 91, 92
_MISSING = re.compile(r"not our ref|couldn't find remote ref|no such ref|bad object|unadvertised", re.IGNORECASE)
_ENTRY = re.compile(
    rb"(?P<mode>\d{6}) (?P<type>[a-z]+) (?P<oid>[0-9a-f]{40,64}) +(?P<size>\d+|-)\t(?P<path>.+)", re.DOTALL
)


class Listed(NamedTuple):
    """A line of a commit's tree; `size` is None for another repository's commit."""

    mode: str
    oid: str
    size: int | None
    path: bytes


class Taken(msgspec.Struct, frozen=True):
    """A commit that was fetched, and git's list of what it holds; of a repository without any, neither is there."""

    ref: str | None
    head_sha: str | None
    listing: bytes = b""
    root: str | None = None

    def listed(self) -> Iterator[Listed]:
        """Yield what it holds, one by one: the list of a stranger may be long. Raises `CheckoutRefused`."""
        begin = 0
        while (end := self.listing.find(b"\0", begin)) >= 0:
            yield _listed(self.listing[begin:end])
            begin = end + 1


class Limits(NamedTuple):
    """What git may use."""

    timeout_s: float
    memory_bytes: int


class Git:
    """Git over one scratch directory, and one source: an address, or a copy in the scratch."""

    def __init__(
        self,
        means: Means,
        scratch: Path,
        source: str,
        limits: Limits,
        way: Callable[[socket.socket], Relay] | None = None,
    ) -> None:
        self._means = means
        self._scratch = scratch
        self._source = source
        self._limits = limits
        self._way = way

    async def take(self, ref: str | None) -> Taken:
        """Fetch one commit, by name, by its digest, or the one of the default branch. Raises `CheckoutRefused`."""
        name, sha256 = await self._resolved(ref)
        if name is None:
            return Taken(None, None)
        words = ("sha256" if sha256 else "sha1", self._source, name, str(LISTING_MAX))
        ended = await self._run(_TAKE, *words)
        if ended.status == _NO_COMMIT:
            raise CheckoutRefused("ref.not_found", f"{ref or name} names no commit")
        if ended.status == _NOT_FETCHED and _MISSING.search(ended.output):
            raise CheckoutRefused("ref.not_found", f"the repository has no {ref or name}, or gives it to nobody")
        self._require(ended)
        if await self._text("listed") != "0":
            raise CheckoutRefused(
                "repo.too_large", "the tree of the commit cannot be listed: it is too large, or broken"
            )
        listing = await self._bytes("listing", LISTING_MAX)
        return Taken(name, await self._text("head"), listing, await self._text("root"))

    async def contents(self, oids: list[str]) -> Path:
        """Have what these objects hold in a file, one after the other; return it. Raises `CheckoutRefused`."""
        (self._scratch / "wanted").write_text("".join(f"{oid}\n" for oid in oids))
        self._require(await self._run(_READ))
        return self._scratch / "contents"

    async def _resolved(self, ref: str | None) -> tuple[str | None, bool]:
        """Return what is asked for by its whole name, and whether digests are SHA-256."""
        if ref is not None and is_sha(ref):
            return ref, len(ref) == 64
        wanted = candidates(ref or "HEAD")
        ended = await self._run(_LOOK, self._source, *wanted)
        self._require(ended)
        found = dict(_refs(await self._text("refs")))
        for name in wanted:
            if name in found:
                return name, len(found[name]) == 64
        if ref is not None:
            raise CheckoutRefused("ref.not_found", f"the repository has no branch or tag {ref}")
        if found or await self._text("any"):
            message = "the repository's default branch has no commit; name a branch, a tag or a commit as ref"
            raise CheckoutRefused("ref.not_found", message)
        return None, False

    async def _run(self, script: str, *words: str) -> Ended:
        allowed = "http" if self._way is not None else "file"
        command = Command(
            words=("/bin/sh", "-c", script, "sh", *words),
            timeout_s=self._limits.timeout_s,
            memory_bytes=self._limits.memory_bytes,
            cpus=1,
            output_max_bytes=16_384,
            env={
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": inside("gitconfig"),
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_ASKPASS": "/bin/false",
                "SSH_ASKPASS": "/bin/false",
                "GIT_ALLOW_PROTOCOL": allowed,
                "GIT_PROTOCOL_FROM_USER": "0",
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_NO_LAZY_FETCH": "1",
                "GIT_NO_REPLACE_OBJECTS": "1",
                "GIT_ATTR_NOSYSTEM": "1",
                "LC_ALL": "C",
            },
            files={"gitconfig": _CONFIG},
        )
        return await run_command(self._means, self._scratch, command, way=self._way)

    def _require(self, ended: Ended) -> None:
        if ended.status == 0:
            return
        if ended.exceeded is not None:
            unit = "bytes of memory" if ended.exceeded.limit == "memory" else ended.exceeded.limit
            message = f"reading the repository takes more than it may ({ended.exceeded.most} {unit})"
            raise CheckoutRefused("repo.too_large", message)
        if ended.status is None:
            message = (
                f"the repository was not read within {self._limits.timeout_s:g} s (RUNWRIGHT_REPOSITORY_TIMEOUT_S)"
            )
            raise CheckoutRefused("repo.timeout", message)
        if ended.status == _NO_GIT:
            raise CheckoutRefused("repo.no_git", "git is not installed on this server")
        raise CheckoutRefused("repo.broken", f"git cannot read the repository: {_last_line(ended.output)}")

    async def _text(self, name: str) -> str:
        return (await self._bytes(name, _SMALL_MAX)).decode("utf-8", "replace").strip()

    async def _bytes(self, name: str, most: int) -> bytes:
        return await whole(asyncio.to_thread(_read, self._scratch, name, most))


def copied() -> str:
    """Return where git finds a repository that was copied into its scratch."""
    return f"{WORKSPACE}/{SOURCE}"


def _read(scratch: Path, name: str, most: int) -> bytes:
    """Return a file of the scratch, b"" where there is none; all that could write to it has ended."""
    try:
        with directory(scratch, ()) as fd, os.fdopen(opened(fd, name, name), "rb") as file:
            return file.read(most)
    except FileNotFoundError:
        return b""


def _refs(told: str) -> list[tuple[str, str]]:
    lines = [line.split("\t") for line in told.splitlines() if not line.startswith("ref: ")]
    return [(parts[1], parts[0]) for parts in lines if len(parts) == 2 and is_sha(parts[0])]


def _listed(line: bytes) -> Listed:
    read = _ENTRY.fullmatch(line)
    if read is None:
        raise CheckoutRefused("repo.broken", "git lists the tree of the commit in a way that nobody reads")
    size = None if read["size"] == b"-" else int(read["size"])
    return Listed(read["mode"].decode(), read["oid"].decode(), size, read["path"])


def _last_line(output: str) -> str:
    """Return what git says last of what went wrong, in plain text: the other side may have its say in it."""
    lines = [line for line in output.splitlines() if line.startswith(("fatal:", "error:"))] or output.splitlines()
    text = "".join(character for character in (lines or ["it says nothing"])[-1] if character.isprintable())
    return text[:200]
