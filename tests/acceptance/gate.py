"""A gate that handlers wait at: the test sees who has arrived, and lets them go when it wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.listening import listening

PATIENCE_S = 60.0


class Gate:
    """Handlers connect, say a word, and go on when a line comes back; a killed server's connections are forgotten."""

    def __init__(self) -> None:
        self.port = 0
        self.passed: list[str] = []
        self._waiting: dict[asyncio.StreamWriter, str] = {}
        self._opened: set[str] = set()
        self._all = False
        self._moved = asyncio.Event()

    @property
    def waiting(self) -> list[str]:
        """Return the words of those who wait now."""
        return list(self._waiting.values())

    async def arrived(self, count: int = 1, word: str | None = None) -> None:
        """Wait until so many handlers wait at the gate, of those who say `word` if one is given."""
        async with asyncio.timeout(PATIENCE_S):
            while sum(1 for each in self._waiting.values() if word in (None, each)) < count:
                self._moved.clear()
                await self._moved.wait()

    async def left(self) -> None:
        """Wait until nobody waits at the gate."""
        async with asyncio.timeout(PATIENCE_S):
            while self._waiting:
                self._moved.clear()
                await self._moved.wait()

    def open(self, word: str | None = None) -> None:
        """Let everybody go, now and from now on; with `word` only those who say it."""
        if word is None:
            self._all = True
        else:
            self._opened.add(word)
        for writer, each in list(self._waiting.items()):
            if word in (None, each):
                self._let_go(writer)

    def close(self) -> None:
        """Hold those who come from now on."""
        self._all = False
        self._opened.clear()

    def let_go(self, count: int) -> None:
        """Let the first so many of those who wait now go."""
        for writer in list(self._waiting)[:count]:
            self._let_go(writer)

    def _let_go(self, writer: asyncio.StreamWriter) -> None:
        self.passed.append(self._waiting.pop(writer))
        self._moved.set()
        writer.write(b"go\n")

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take in one handler."""
        try:
            word = (await reader.readline()).decode().strip()
            self._waiting[writer] = word
            self._moved.set()
            if self._all or word in self._opened:
                self._let_go(writer)
            await reader.read()
        except ConnectionError:
            pass
        finally:
            self._waiting.pop(writer, None)
            self._moved.set()
            writer.close()


@asynccontextmanager
async def opened_gate() -> AsyncIterator[Gate]:
    """Build a gate, closed at first; whoever still waits at the end is let go."""
    gate = Gate()
    async with listening(gate.enter, backlog=1024) as gate.port:
        try:
            yield gate
        finally:
            gate.open()
