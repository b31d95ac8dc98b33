"""Read from what a process says that its sandbox refused it something: nobody counts that, as the way out is counted.

What is read is the error output, as C, Python, Go, Node, Rust and Java word the errors of the system, in English. A
process that keeps silent about it, or says it otherwise, is refused all the same, and nothing tells of it.
"""

from __future__ import annotations

import posixpath
import re

from runwright.client.session import Draft
from runwright.domain.process_events import Refused
from runwright.sandbox.sandbox import FILES, WORKSPACE

LINE_MAX = 4096
SHOWN_MAX = 300
_CLOSED = re.compile(r"read-only file system|permission denied|\b(?:EROFS|EACCES)\b|\[Errno (?:13|30)\]", re.IGNORECASE)
_HIDDEN = re.compile(r"no such file or directory|\bENOENT\b|\[Errno 2\]", re.IGNORECASE)
_FORBIDDEN = re.compile(r"operation not permitted|\bEPERM\b|\[Errno 1\]", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.~*/-])/[^\s:;,'\"`´’)\]>]+")
_ITS_OWN = (WORKSPACE, "/tmp", "/dev/shm", "/dev/pts", FILES)
_SHOWN = ("/dev", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc")


class Refusals:
    """Listens to the error output of one process; `paths` are what the operator shows beside the system."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._shown = (*_SHOWN, *paths)
        self._begun = ""
        self._last = ""
        self._count = 0
        self._first = ""

    def hear(self, text: str) -> None:
        """Take the next piece of the output; lines are read once they are whole, or too long to wait for."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._read(line)
        if len(self._begun) > LINE_MAX:
            self._read(self._begun)
            self._begun = ""

    def told(self, *, failed: bool) -> Draft | None:
        """Return the event of what was refused, None for nothing; `failed`: the process said so with its end, too."""
        self.hear("\n")
        if self._count:
            return _event("path", self._count, f"something outside its workspace: {self._first}")
        if not failed or _paths(self._last):
            return None
        if _CLOSED.search(self._last):
            return _event("path", 1, f"something outside its workspace: {self._last}")
        return _event("call", 1, f"a call: {self._last}") if _FORBIDDEN.search(self._last) else None

    def _read(self, line: str) -> None:
        line = line.strip()[-LINE_MAX:]
        if not line:
            return
        self._last = line[:SHOWN_MAX]
        closed, hidden = _CLOSED.search(line), _HIDDEN.search(line)
        own = _ITS_OWN if closed else (*_ITS_OWN, *self._shown)
        if (closed or hidden) and any(not _lies_in(path, own) for path in _paths(line)):
            self._count += 1
            self._first = self._first or self._last


def _event(what: Refused, count: int, said: str) -> Draft:
    data = {"what": what, "count": count, "means": "read"}
    return Draft("security.refused", data, "warning", f"the sandbox refused the process {said}")


def _paths(line: str) -> list[str]:
    return [posixpath.normpath(path) for path in _PATH.findall(line)]


def _lies_in(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)
