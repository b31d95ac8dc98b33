"""Which forges a server delivers to: where repositories lie, what serves them, and which secret opens them.

A forge is named in the settings as `kind=origin#SECRET`: all repositories whose address begins with the origin are its,
and the project's secret of that name holds the token. A `local` forge has no token: it is a directory, or an address
that everybody may push to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from runwright.errors import InvalidSettings

Kind = Literal["local", "github", "gitlab", "gitea"]
ENVIRONMENT = "forges"
"""The environment of a project whose secrets are looked at first: no job is given those, unless it names it."""
_READ = re.compile(r"(?P<kind>[a-z]+)=(?P<origin>[^#]+)(?:#(?P<secret>\w+))?")


class ForgeRecord(msgspec.Struct, frozen=True):
    """A forge: `origin` is how the addresses of its repositories begin."""

    kind: Kind
    origin: str
    secret: str | None = None

    def has(self, repo: str) -> bool:
        """Tell whether a repository lies there."""
        return repo == self.origin or repo.startswith(f"{self.origin}/")


def read_forges(told: Sequence[str]) -> tuple[ForgeRecord, ...]:
    """Return the forges of the settings. Raises `InvalidSettings` for what names none."""
    found: list[ForgeRecord] = []
    for each in told:
        read = _READ.fullmatch(each)
        if read is None:
            raise InvalidSettings(f"{each!r} names no forge; write kind=origin#SECRET")
        found.append(ForgeRecord(read["kind"], read["origin"].rstrip("/"), read["secret"]))  # type: ignore[arg-type]
    return tuple(found)


def forge_of(forges: Sequence[ForgeRecord], repo: str) -> ForgeRecord | None:
    """Return the forge of a repository: of several the one that says most of its address."""
    there = [forge for forge in forges if forge.has(repo)]
    return max(there, key=lambda forge: len(forge.origin), default=None)
