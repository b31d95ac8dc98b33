"""The hash tree of RFC 6962 (2.1): one root binds every leaf and their order, and each prefix has a root of its own.

A leaf is hashed with another first byte than a node, so none passes for the other; the tree of n leaves splits at the
largest power of two below n. Growing it keeps one hash for each bit of its size.
"""

from __future__ import annotations

from hashlib import sha256

EMPTY = sha256().digest()
"""The root of a tree without leaves."""


def leaf(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over two."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf; it has the root of all its leaves so far."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # the roots of the whole trees that it is made of, the largest first

    def add(self, data: bytes) -> None:
        """Put a leaf behind the others."""
        peak, size = sha256(b"\x00" + data).digest(), self.size
        while size & 1:  # as `node` does; this is a hot path
            peak, size = sha256(b"\x01" + self._peaks.pop() + peak).digest(), size >> 1
        self._peaks.append(peak)
        self.size += 1

    @property
    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        *others, root = self._peaks
        for peak in reversed(others):
            root = node(peak, root)
        return root
