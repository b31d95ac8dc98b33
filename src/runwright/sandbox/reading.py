"""Read what a process writes: a pipe or a terminal, without a thread, and no faster than it is taken."""

from __future__ import annotations

import asyncio
import errno
import os

PIECE_BYTES = 65_536


class Reading:
    """The reading end of a pipe, or the controlling end of a terminal; to be closed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)

    async def read(self) -> bytes:
        """Return what is there, at most 64 KiB, once something is; b"" at the end."""
        while True:
            try:
                return os.read(self._fd, PIECE_BYTES)
            except BlockingIOError:
                await self._readable()
            except OSError as failure:
                if failure.errno == errno.EIO:  # the end of a terminal that nobody has open any more
                    return b""
                raise

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(self._fd)

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)
