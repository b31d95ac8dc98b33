"""What the commands of a run printed, to be replayed: asciicast 3 (docs.asciinema.org/manual/asciicast/v3).

Where there was no terminal, only pipes, lines end with a line feed alone: a terminal wants a carriage return, too.
"""

from __future__ import annotations

import codecs
import re

import msgspec

from runwright.domain.events import Event
from runwright.domain.terminal_events import (
    COLUMNS,
    OUTPUT,
    RESIZED,
    ROWS,
    STARTED,
    TYPED,
    CommandStarted,
    Resized,
    TerminalOutput,
    Typed,
    typed,
)

RECORDED = frozenset({STARTED, OUTPUT, TYPED, RESIZED})
"""The events that a recording is made of."""
_LINE_FEED = re.compile(r"(?<!\r)\n")

_encode = msgspec.json.Encoder().encode
_output = msgspec.json.Decoder(TerminalOutput).decode
_started = msgspec.json.Decoder(CommandStarted).decode
_typed = msgspec.json.Decoder(Typed).decode
_resized = msgspec.json.Decoder(Resized).decode


class Cast:
    """Writes one recording, line by line; both outputs are in it, in the order of their arrival, and what was typed in
    sight.
    """  # fmt: skip

    def __init__(self, title: str, began_at: int) -> None:
        self._title = title
        self._began_at = began_at
        self._at = began_at
        self._size = (COLUMNS, ROWS)
        self._returned = False
        self._decoders: dict[tuple[str, str], codecs.IncrementalDecoder] = {}

    def head(self) -> bytes:
        """Return the first line."""
        size = {"cols": COLUMNS, "rows": ROWS}
        head = {"version": 3, "term": size, "timestamp": self._began_at // 1_000_000, "title": self._title}
        return _encode(head) + b"\n"

    def line(self, event: Event) -> bytes:
        """Return an event of a terminal as a line: the seconds since the one before, and what happened.

        What shows nothing makes no line.
        """
        data = event.data or b""
        if event.type == OUTPUT:
            told = _output(data)
            chunk = self._text(told)
            return self._line(event, b"o", chunk if told.stream == "tty" else self._with_returns(chunk))
        if event.type == TYPED:
            text = typed(_typed(data)).decode("utf-8", "replace")
            return self._line(event, b"i", text) if text else b""
        size = _started(data) if event.type == STARTED else _resized(data)
        if (size.cols, size.rows) == self._size:
            return b""
        self._size = (size.cols, size.rows)
        return self._line(event, b"r", f"{size.cols}x{size.rows}")

    def _line(self, event: Event, code: bytes, text: str) -> bytes:
        passed = max(event.created_at - self._at, 0)
        self._at += passed
        return b'[%d.%06d,"%b",%b]\n' % (passed // 1_000_000, passed % 1_000_000, code, _encode(text))

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
