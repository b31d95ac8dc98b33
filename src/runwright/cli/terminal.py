"""`runwright terminal`: see what a run's commands print, as they print it."""

import codecs
import re
import sys
from pathlib import Path

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK
from runwright.cli.watching import PATIENCE
from runwright.client.terminal_models import TerminalFrame

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[^\[\]])")
_KEPT = re.compile(r"\x1b\[[0-9;]*[mK]")
_BEGUN_MAX = 4096


def terminal(
    run: str,
    /,
    *,
    raw: bool = False,
    cast: Path | None = None,
    cursor: str | None = None,
    connection: Connection = HERE,
) -> int:
    """Show what the commands of a run print, until it ends; over cuts and restarts nothing is lost.

    Example: `runwright terminal run_019a9f3c2b107abc8def0123456789ab`

    Colours and lines that are written over are shown; what else a command could do to this terminal is not.

    Parameters
    ----------
    raw
        The bytes exactly as they were printed, for a file or a program.
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
        stream, screen = client.runtime.terminal(run, cursor=cursor, backoff=PATIENCE), Screen()
        for frame in stream:
            if connection.json:
                printing.show_line(frame.raw)
            elif raw:
                sys.stdout.buffer.write(frame.bytes)
                sys.stdout.buffer.flush()
            elif frame.t == "gap":
                printing.note(f"some output is not there: {frame.reason}")
            else:
                screen.show(frame)
        return OK if stream.sha256 is not None else FAILED


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
