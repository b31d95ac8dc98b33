"""Ports of this machine that are kept: a free one that is only looked up may be anybody's by the time it is used."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager


def kept_for(owner: object) -> int:
    """Return a port that is kept for `owner` as long as that lives, or until the process ends.

    It is bound, so the kernel gives it to nobody who wants any port, to listen on or to connect from; and nobody
    listens on it, so who connects is refused. A server that is told to use it can: all of ours, and PostgreSQL, say
    SO_REUSEADDR. It is there again when that server ends, for the next one.
    """
    held = _bound()
    weakref.finalize(owner, held.close)
    return _number(held)


@contextmanager
def kept() -> Iterator[int]:
    """Yield a port that is kept likewise, until the block ends."""
    with _bound() as held:
        yield _number(held)


def _bound() -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def _number(held: socket.socket) -> int:
    port: int = held.getsockname()[1]
    return port
