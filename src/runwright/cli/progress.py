"""A line at the bottom of the terminal that says how far the work is; away from a terminal there is none."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, TextIO

from runwright.cli import printing

_BAR = 30
_CLEAR = "\r\x1b[2K"


class Bar:
    """Show a description, a bar and the time that passed, below whatever is printed meanwhile."""

    def __init__(self, description: str, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._description = description
        self._done = 0.0
        self._told = ""
        self._began = time.monotonic()
        self.shown = printing.is_terminal(self._stream)

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()
        self._stream.flush()

    def show(self, done: float, description: str | None = None, told: str | None = None) -> None:
        """Draw the bar anew: `done` is a part of 1; `told` stands behind it, else the part in per cent."""
        self._done = min(max(done, 0.0), 1.0)
        self._description = self._description if description is None else printing.printable(description)[:40]
        self._told = f"{self._done:.0%}" if told is None else told
        self._draw()

    def restart(self, description: str) -> None:
        """Begin anew, with the clock at zero."""
        self._began = time.monotonic()
        self.show(0, description)

    def clear(self) -> None:
        """Take the bar away, so that something can be printed; the next `show` or `print` brings it back."""
        if self.shown:
            self._stream.write(_CLEAR)

    def print(self, line: str) -> None:
        """Print a line above the bar."""
        self.clear()
        self._stream.write(f"{line}\n")
        self._draw()

    def _draw(self) -> None:
        if self.shown:
            full = round(self._done * _BAR)
            seconds = int(time.monotonic() - self._began)
            text = (
                f"{self._description} {'━' * full}{'╌' * (_BAR - full)} {self._told} {seconds // 60}:{seconds % 60:02}"
            )
            self._stream.write(_CLEAR + text[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()


@contextmanager
def bars(stream: TextIO) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what draws a bar for what it is told of (what, how much of it, of how much), on a terminal only."""
    with Bar("", stream) as bar:

        def tell(what: str, done: int, of: int) -> None:
            bar.show(done / of if of else 1.0, what)

        yield tell
