"""Hear what a process says: for the log, for its limit, and for whoever reads what it was refused."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from runwright.executors.process.refusals import Refusals
from runwright.executors.terminal import Terminal
from runwright.sandbox.reading import Reading
from runwright.sandbox.watch import Exceeded

TAIL = 4096


class Listener:
    """The output of one process. `last_words` are the end of what it said on its error output, or its terminal."""

    def __init__(
        self, terminal: Terminal, most_bytes: int, over: Callable[[Exceeded], None], refusals: Refusals
    ) -> None:
        self.bytes = 0
        self.last_words = ""
        self._terminal = terminal
        self._most = most_bytes
        self._over = over
        self._refusals = refusals

    async def follow(self, name: str, stream: Reading) -> None:
        """Write a stream into the log until it ends; what goes beyond the limit is read and dropped."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while piece := await stream.read():
            self.bytes += len(piece)
            if self.bytes > self._most:
                self._over(Exceeded("output", self.bytes, self._most, "counted"))
                continue
            if name != "stdout":
                self._listen(decoder.decode(piece))
            await self._terminal.heard(name, piece)
        self._listen(decoder.decode(b"", True))

    def _listen(self, text: str) -> None:
        self.last_words = (self.last_words + text)[-TAIL:]
        self._refusals.hear(text)
