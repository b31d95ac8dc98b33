"""A forge without a service: its pull requests are refs of the repository itself, and last as long as it does.

A pull request N is two refs: `refs/pull/N/head` is its commit, and takes the number; `refs/pull/N/from/BRANCH`, a file
that tells the rest as JSON, makes it one. Where the second is missing, whoever opens it again goes on there. It is open
as long as they are there; who merges or declines it removes them. So any git shows
them: `git show refs/pull/1/from/omar/…`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from runwright.domain.git_objects import digest, format_of
from runwright.forges.port import Opened, Refs, Refused, Remote, Update, Wanted
from runwright.forges.wire import Wire

TRIES = 20
_PULL = re.compile(r"refs/pull/(?P<number>[1-9]\d{0,8})/(?P<rest>head|from/.+)")
_encode = msgspec.json.Encoder(order="deterministic").encode


class LocalForge:
    """A repository that keeps its own pull requests; `place` is its address."""

    provider = "local"

    def __init__(self, remote: Remote, place: str, wire: Wire | None = None) -> None:
        self.remote = remote
        self._place = place
        self._wire = wire

    async def require_free(self, branch: str, refs: Refs) -> None:
        """Let every branch be made: the one that others build upon is refused before."""

    async def open(self, wanted: Wanted) -> Opened:
        """Find the pull request of a branch, or open one under the next free number. Raises `Refused`."""
        told = _encode({"state": "open", **msgspec.to_builtins(wanted)}) + b"\n"
        form = format_of(wanted.commit_sha)
        for _ in range(TRIES):
            pulls = _pulls((await self.remote.refs()).oids)
            there = next((number for number, rest in pulls.items() if f"from/{wanted.branch}" in rest), None)
            if there is not None:
                return self._opened(there, reused=True)
            begun = next((number for number, rest in pulls.items() if rest == {"head": wanted.commit_sha}), None)
            number = begun or max(pulls, default=0) + 1
            updates = [] if begun else [Update(f"refs/pull/{number}/head", wanted.commit_sha)]
            updates.append(Update(f"refs/pull/{number}/from/{wanted.branch}", digest(b"blob", told, form)))
            try:
                await self.remote.push(updates, [(b"blob", told)], form)
            except Refused as why:
                if why.code != "PUSH_REJECTED":
                    raise
                continue  # somebody took the number
            return self._opened(number, reused=False)
        raise Refused("FORGE_ERROR", "others open pull requests all the time; try again")

    async def close(self) -> None:
        """Close its connections, if it has any."""
        if self._wire is not None:
            await self._wire.close()

    def _opened(self, number: int, *, reused: bool) -> Opened:
        return Opened(number, f"{self._place}#refs/pull/{number}/head", reused)


def _pulls(oids: Mapping[str, str]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for name, oid in oids.items():
        read = _PULL.fullmatch(name)
        if read is not None:
            found.setdefault(int(read["number"]), {})[read["rest"]] = oid
    return found
