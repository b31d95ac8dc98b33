"""`runwright terminal`: see what a run's commands print, as they print it."""

import codecs
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK
from runwright.cli.watching import PATIENCE
from runwright.client.sync.api import Client
from runwright.client.sync.stream import OnCut
from runwright.client.terminal_models import TerminalFrame

if TYPE_CHECKING:
    from runwright.cli.keyboard import Keyboard
    from runwright.client.sync.terminal import TerminalStream

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[^\[\]])")
_KEPT = re.compile(r"\x1b\[[0-9;]*[mK]")
_BEGUN_MAX = 4096


def terminal(
    run: str,
    /,
    *,
    raw: bool = False,
    input: bool = False,
    cast: Path | None = None,
    cursor: str | None = None,
    connection: Connection = HERE,
) -> int:
    """Show what the commands of a run print, until it ends; over cuts and restarts nothing is lost.

    Example: `runwright terminal run_019a9f3c2b107abc8def0123456789ab`

    Colours and lines that are written over are shown; what else a command could do to this terminal is not, but with
    --raw or --input. With --input what is typed here is typed for the command that takes it (`stdin: true` in its
    step), and its terminal has the size of this one; Ctrl-] lets go of it, and the run goes on.

    Parameters
    ----------
    raw
        The bytes exactly as they were printed, for a file or a program.
    input
        Type for the run's commands; the end of a pipe is the end of what they read.
    cast
        Write an asciicast of what was printed so far into this file, to be replayed.
    cursor
        Go on after this frame.
    """
    with connection.client() as client:
        if cast is not None:
            cast.write_bytes(client.runtime.recording(run))
            printing.note(f"written: {cast}")
            return OK
        if input:
            return _operate(client, run, cursor, connection)
        stream, screen = client.runtime.terminal(run, cursor=cursor, backoff=PATIENCE), Screen()
        for frame in stream:
            if connection.json:
                printing.show_line(frame.raw)
            elif raw:
                _write(frame)
            elif frame.t == "gap":
                printing.note(f"some output is not there: {frame.reason}")
            else:
                screen.show(frame)
        return OK if stream.sha256 is not None else FAILED


def _operate(client: Client, run: str, cursor: str | None, connection: Connection) -> int:
    """Show the terminal, and let it be typed into, until the run ends or the keyboard lets go."""

    def watch(on_cut: OnCut) -> "TerminalStream":
        return client.runtime.terminal(run, cursor=cursor, backoff=PATIENCE, on_cut=on_cut)

    # With what reads keys and sizes comes what speaks WebSocket.
    keyboard: Keyboard = import_module("runwright.cli.keyboard").Keyboard(watch, _note)
    with keyboard:
        for frame in keyboard.stream:
            keyboard.hear(frame)
            if connection.json:
                printing.show_line(frame.raw)
            else:
                _write(frame)
    if keyboard.let_go:
        on = f"runwright terminal {run} --input --cursor {keyboard.stream.cursor}"
        printing.note(f"let go; the run goes on: {on}")
        return OK
    return OK if keyboard.stream.sha256 is not None else FAILED


def _write(frame: TerminalFrame) -> None:
    sys.stdout.buffer.write(frame.bytes)
    sys.stdout.buffer.flush()


def _note(text: str) -> None:
    """Tell something at the beginning of a line, of a terminal that is raw, too."""
    printing.note(f"\r{text}\r")


class Screen:
    """Shows text with its colours; what else a command could do to a terminal is left out."""

    def __init__(self) -> None:
        self._decoders: dict[tuple[str, str], codecs.IncrementalDecoder] = {}
        self._begun = ""

    def show(self, frame: TerminalFrame) -> None:
        """Print what a frame holds."""
        place = (frame.command_id, frame.stream)
        if place not in self._decoders:
            self._decoders[place] = codecs.getincrementaldecoder("utf-8")("replace")
        ended = frame.t in ("command_end", "eof")
        rest = [each.decode(b"", True) for each in self._decoders.values()] if ended else []
        sys.stdout.write(self.tamed("".join([self._decoders[place].decode(frame.bytes), *rest])))
        sys.stdout.flush()

    def tamed(self, text: str) -> str:
        """Return what may be shown; an escape sequence that goes on in the next text waits for it."""
        text, self._begun, shown, at = self._begun + text, "", [], 0
        while (start := text.find("\x1b", at)) >= 0:
            shown.append(_plain(text[at:start]))
            found = _ESCAPE.match(text, start)
            if found is None:
                if len(text) - start <= _BEGUN_MAX:
                    self._begun = text[start:]
                    return "".join(shown)
                at = start + 1
                continue
            if _KEPT.fullmatch(found[0]):
                shown.append(found[0])
            at = found.end()
        return "".join([*shown, _plain(text[at:])])


def _plain(text: str) -> str:
    return "".join(char if char in "\n\r\t\b" or char.isprintable() else "" for char in text)
