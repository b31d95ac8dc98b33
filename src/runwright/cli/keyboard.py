"""The keyboard of this terminal as that of a run's command: raw, with its size, until the run ends or a key lets go."""

import os
import select
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable
from typing import Any, Self

from runwright.client.errors import ClientError, ServerUnreachable
from runwright.client.sync.stream import OnCut
from runwright.client.sync.terminal import TerminalStream
from runwright.client.terminal_models import TerminalFrame

LET_GO = b"\x1d"
"""Ctrl-] as a terminal sends it."""
AT_ONCE = 4096


class Keyboard:
    """Reads the standard input in a thread of its own and types it for the command of the `stream` that `watch` opens.

    At a terminal every key goes at once, the size comes along, and Ctrl-] lets go. From a pipe a piece goes when the
    one before was taken and a command reads, and the end of the pipe is told. `told` hears what was refused.
    """

    def __init__(self, watch: Callable[[OnCut], TerminalStream], told: Callable[[str], None]) -> None:
        self.let_go = False
        self.stream = watch(self._cut)
        self._told = told
        self._at_terminal = sys.stdin.isatty()
        self._reads = threading.Event()
        self._answered = threading.Event()
        self._waits_for: str | None = None
        self._refused = False
        self._over = False
        self._modes: list[Any] | None = None
        self._woken, self._wakes = os.pipe()
        self._news = select.poll()
        self._news.register(0, select.POLLIN)
        self._news.register(self._woken, select.POLLIN)
        self._thread = threading.Thread(target=self._read, name="keyboard", daemon=True)

    def __enter__(self) -> Self:
        if self._at_terminal:
            self._modes = termios.tcgetattr(0)
            tty.setraw(0)
            signal.signal(signal.SIGWINCH, lambda *_: os.write(self._wakes, b"s"))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over = True
        os.write(self._wakes, b"q")
        self._reads.set()
        self._answered.set()
        if self._modes is not None:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            termios.tcsetattr(0, termios.TCSADRAIN, self._modes)

    def hear(self, frame: TerminalFrame) -> None:
        """Take note of what the terminal says: who reads, and what became of what was typed."""
        if frame.t == "command_start":
            if frame.stdin:
                self._reads.set()
            if frame.tty and self._at_terminal:
                os.write(self._wakes, b"s")
        elif frame.t == "command_end":
            self._reads.clear()
        elif frame.t in ("input", "error") and frame.id is not None and frame.id == self._waits_for:
            self._refused = frame.t == "error"
            if self._refused:
                self._reads.clear()
            self._answered.set()
        if frame.t == "error" and self._at_terminal:
            self._told(f"{frame.code}: {frame.message}")

    def _cut(self, why: ClientError | None, delay_s: float) -> None:
        """Hear that the connection was cut: an answer that had not come will not come any more."""
        if self._waits_for is not None and not self._answered.is_set():
            self._told("the connection was cut; what was typed just now may be lost")
            self._answered.set()

    def _read(self) -> None:
        more = True
        while more:
            try:
                more = self._one()
            except ServerUnreachable as why:
                self._told(f"what was typed just now may be lost: {why}")
            except OSError:  # nobody types here any more
                return

    def _one(self) -> bool:
        """Do what comes next; tell whether there is more."""
        if self._woken in (fd for fd, _ in self._news.poll()):
            if os.read(self._woken, 1) == b"q":
                return False
            size = shutil.get_terminal_size()
            self.stream.resize(size.columns, size.lines)
            return True
        data = os.read(0, AT_ONCE)
        if not self._at_terminal:
            return self._piped(data)
        keys, found, _ = data.partition(LET_GO)
        if keys:
            self.stream.type(keys)
        if found or not data:
            self.let_go = True
            self.stream.close()
            return False
        return True

    def _piped(self, data: bytes) -> bool:
        """Send a piece of a pipe, or its end, again until a command takes it."""
        self._refused = True
        while self._refused and not self._over:
            self._reads.wait()
            self._answered.clear()
            self._refused = False
            self._waits_for = self.stream.type(data) if data else self.stream.end()
            self._answered.wait()
        return bool(data) and not self._over
