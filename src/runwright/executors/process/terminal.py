"""Write what a process says into the log of its run: as text, no faster than the log takes it, and only so much."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from runwright.client.session import Draft, Session
from runwright.executors.process.refusals import Refusals
from runwright.sandbox.reading import Reading
from runwright.sandbox.watch import Exceeded

OUTPUT = "terminal.output"
DURABLE_BYTES = 262_144
"""After so many bytes the log must have taken what it was given, before more is read."""
TAIL = 4096


class Terminal:
    """The output of one process. `last_words` are the end of what it said on its error output, or its terminal."""

    def __init__(self, session: Session, most_bytes: int, over: Callable[[Exceeded], None], refusals: Refusals) -> None:
        self.bytes = 0
        self.last_words = ""
        self._session = session
        self._most = most_bytes
        self._over = over
        self._refusals = refusals

    async def follow(self, name: str, stream: Reading) -> None:
        """Write a stream into the log until it ends; what goes beyond the limit is read and dropped."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pending = 0
        while piece := await stream.read():
            self.bytes += len(piece)
            if self.bytes > self._most:
                self._over(Exceeded("output", self.bytes, self._most, "counted"))
                continue
            self._say(name, decoder.decode(piece))
            pending += len(piece)
            if pending >= DURABLE_BYTES:
                await self._session.save([])
                pending = 0
        self._say(name, decoder.decode(b"", True))

    def _say(self, name: str, text: str) -> None:
        if not text:
            return
        self._session.emit(Draft(OUTPUT, {"stream": name, "chunk": text}))
        if name != "stdout":
            self.last_words = (self.last_words + text)[-TAIL:]
            self._refusals.hear(text)
