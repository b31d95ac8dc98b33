"""Sets of paths, by patterns as people write them: `src/**`, `*.py`, `**/migrations/**`.

`*` is any text within a name, `?` one letter of it, `**` any directories. A pattern without a slash is for names in
every directory; one that ends in a slash is for all that lies beneath. A path is written as git writes it: relative,
with slashes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from runwright.domain.linear import linear

if TYPE_CHECKING:
    from re2 import _Regexp

GLOB_MAX = 200
Globs = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=GLOB_MAX)], ...], Meta(max_length=100)]
_PIECES = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_UNKNOWN = re.compile(r"[\[\]{}!\\\x00]")


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which paths may be changed: those of `allow` (none named: all), but never those of `deny`."""

    allow: Globs = ()
    deny: Globs = ()

    def allows(self, path: str) -> bool:
        """Tell whether a path, relative and with slashes, may be changed."""
        return (not self.allow or matches(self.allow, path)) and not matches(self.deny, path)


def matches(globs: tuple[str, ...], path: str) -> bool:
    """Tell whether one of the patterns is for a path."""
    return bool(globs) and _compiled(globs).fullmatch(path.encode("utf-8", "surrogatepass")) is not None


def require_glob(glob: str) -> None:
    """Raise `ValueError` for what is no pattern of ours, rather than read it otherwise than it was meant."""
    if found := _UNKNOWN.search(glob):
        raise ValueError(f"{found[0]!r} is none of the marks of a pattern here (*, **, ?)")
    if glob.startswith("/") or ".." in glob.split("/") or "//" in glob:
        raise ValueError("a pattern is for relative paths: without a slash at its beginning, two of them, or ..")
    if not glob.strip():
        raise ValueError("a pattern names something")


@lru_cache(maxsize=1_000)
def _compiled(globs: tuple[str, ...]) -> _Regexp[bytes]:
    return linear("|".join(f"(?:{_expression(glob)})" for glob in globs), within_lines=False)


def _expression(glob: str) -> str:
    if glob.endswith("/"):
        glob += "**"
    anywhere = "" if "/" in glob else "(?:.*/)?"
    return anywhere + "".join(_piece(piece) for piece in _PIECES.findall(glob))


def _piece(piece: str) -> str:
    marks = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return marks.get(piece) or re.escape(piece)
