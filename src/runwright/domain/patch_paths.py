"""Which names a patch may give to files, and how a diff of git writes and quotes them."""

from __future__ import annotations

import re
import unicodedata

from runwright.domain.patch_refusal import PatchRefused

PATH_MAX_BYTES = 1024
NAME_MAX_BYTES = 255
PARTS_MAX = 100
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_GIT = frozenset({".git", "git~1"})
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
_ESCAPE = re.compile(rb"\\([abtnvfr\"\\]|[0-3][0-7]{2})")


def checked(path: str) -> str:
    """Return a path that lies beneath the tree and that git would track. Raises `PatchRefused`."""
    parts = path.split("/")
    if not path or path.startswith("/"):
        raise _no_path(path, "is not relative to the root of the tree")
    if any(part in {"", ".", ".."} for part in parts):
        raise _no_path(path, "leads upwards, or has an empty part; name the file by its own path")
    if any(unicodedata.category(character) in _HIDDEN for character in path) or "\\" in path:
        raise _no_path(path, "has characters that no name here may have")
    if any(part.rstrip(". ").lower() in _GIT for part in parts):
        raise _no_path(path, "is git's own")
    if len(path.encode()) > PATH_MAX_BYTES or len(parts) > PARTS_MAX:
        raise _no_path(path, "is too long")
    if any(len(part.encode()) > NAME_MAX_BYTES for part in parts):
        raise _no_path(path, "has a name that is too long")
    return path


def _no_path(path: str, why: str) -> PatchRefused:
    return PatchRefused("path", f"{path[:200]!r} {why}")


def quoted(path: str) -> str:
    """Return a path as a diff of git writes it: in quotes where it has one, or a backslash."""
    if '"' not in path and "\\" not in path:
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """Return the path that a diff of git wrote in quotes. Raises `PatchRefused`."""
    inner = text[1:-1].encode("utf-8", "surrogatepass")
    rest = _ESCAPE.sub(b"", inner)
    if len(text) < 2 or not text.endswith('"') or b"\\" in rest or b'"' in rest:
        raise PatchRefused("malformed", f"{text[:200]} is no quoted path")
    try:
        return _ESCAPE.sub(_unescaped, inner).decode()
    except UnicodeDecodeError:
        raise PatchRefused("path", f"{text[:200]} is no UTF-8") from None


def _unescaped(found: re.Match[bytes]) -> bytes:
    word = found[1].decode()
    return bytes([_ESCAPES[word] if word in _ESCAPES else int(word, 8)])
