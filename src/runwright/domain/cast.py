"""What the commands of a run printed, to be replayed: asciicast 3 (docs.asciinema.org/manual/asciicast/v3).

Where there was no terminal, only pipes, lines end with a line feed alone: a terminal wants a carriage return, too.
"""

from __future__ import annotations

import codecs
import re

import msgspec

from runwright.domain.events import Event
from runwright.domain.terminal_events import COLUMNS, OUTPUT, ROWS, TerminalOutput

TYPE = OUTPUT
_LINE_FEED = re.compile(r"(?<!\r)\n")

_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(TerminalOutput).decode


class Cast:
    """Writes one recording, line by line; both outputs are in it, in the order of their arrival."""

    def __init__(self, title: str, began_at: int) -> None:
        self._title = title
        self._began_at = began_at
        self._at = began_at
        self._returned = False
        self._decoders: dict[tuple[str, str], codecs.IncrementalDecoder] = {}

    def head(self) -> bytes:
        """Return the first line."""
        size = {"cols": COLUMNS, "rows": ROWS}
        head = {"version": 3, "term": size, "timestamp": self._began_at // 1_000_000, "title": self._title}
        return _encode(head) + b"\n"

    def line(self, event: Event) -> bytes:
        """Return a `terminal.output` as a line: the seconds since the one before, and what was printed."""
        told = _read(event.data or b"")
        passed = max(event.created_at - self._at, 0)
        self._at += passed
        chunk = self._text(told)
        text = chunk if told.stream == "tty" else self._with_returns(chunk)
        return b'[%d.%06d,"o",%b]\n' % (passed // 1_000_000, passed % 1_000_000, _encode(text))

    def _text(self, told: TerminalOutput) -> str:
        """Return what a player shows: of bytes that are no UTF-8 it shows what stands for them."""
        place = (told.command_id, told.stream)
        decoder = self._decoders.get(place)
        if decoder is None:
            decoder = self._decoders[place] = codecs.getincrementaldecoder("utf-8")("replace")
        return decoder.decode(told.bytes())

    def _with_returns(self, chunk: str) -> str:
        text = _LINE_FEED.sub("\r\n", chunk)
        if self._returned and text.startswith("\r\n") and chunk.startswith("\n"):
            text = text[1:]  # the carriage return was the last of the chunk before
        self._returned = chunk.endswith("\r") if chunk else self._returned
        return text
