"""The hand on a running command: what it reads is written here, and its terminal has the size that is said here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios

_LOCAL_MODES, _CONTROL_CHARACTERS = 3, 6
_NEWLINE = b"\n"


class Grip:
    """The writing end of a command's pipe, or of its terminal; to be closed. `fd` is this one's alone."""

    def __init__(self, fd: int, *, tty: bool) -> None:
        self._fd: int | None = fd
        self._tty = tty
        self._begun = False
        os.set_blocking(fd, False)

    async def write(self, data: bytes) -> bool:
        """Give the command all of it, as fast as it takes it; tell whether its terminal echoed the whole.

        Raises `OSError` when the command reads no more.
        """
        echoed, left = self._echoes(), memoryview(data)
        while left:
            try:
                left = left[os.write(self._open, left) :]
            except BlockingIOError:
                await self._writable()
            echoed = echoed and self._echoes()
        self._begun = not data.endswith(_NEWLINE) if data else self._begun
        return echoed

    async def end(self) -> None:
        """Say that no more is typed: a terminal says it by a character, which ends a begun line first."""
        if not self._tty:
            self.close()
            return
        modes = termios.tcgetattr(self._open)
        ends = bytes(modes[_CONTROL_CHARACTERS][termios.VEOF])
        lines = bool(modes[_LOCAL_MODES] & termios.ICANON)
        await self.write(ends * 2 if lines and self._begun else ends)
        self._begun = False

    def resize(self, cols: int, rows: int) -> None:
        """Give the terminal another size; what runs on it is told so by a signal."""
        termios.tcsetwinsize(self._open, (rows, cols))

    @property
    def _open(self) -> int:
        if self._fd is None:
            raise BrokenPipeError("it was ended")
        return self._fd

    def _echoes(self) -> bool:
        if not self._tty:
            return False
        with contextlib.suppress(termios.error):
            return bool(termios.tcgetattr(self._open)[_LOCAL_MODES] & termios.ECHO)
        return False

    async def _writable(self) -> None:
        loop, fd = asyncio.get_running_loop(), self._open
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_writer(fd)

    def close(self) -> None:
        """Let it go; a command that reads a pipe comes to its end."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
