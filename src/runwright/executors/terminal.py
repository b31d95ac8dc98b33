"""Write what a command says into the log of its run: every byte, by stream, no faster than the log takes it."""

from __future__ import annotations

import signal
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from runwright.client.session import Draft
from runwright.domain.terminal_events import ENDED, OUTPUT, RESIZED, STARTED, TYPED, spelled

DURABLE_BYTES = 262_144
"""After so many bytes the log must have taken what it was given, before more is heard."""
CHARACTER_BYTES = 4
SIGNALLED = 128


class Pen(Protocol):
    """What writes into the log: a `Session`, or an `Attempt`."""

    def emit(self, draft: Draft) -> None:
        """Append an event soon."""

    async def save(self, drafts: Sequence[Draft]) -> None:
        """Append events; durable when it returns, with all that was emitted before."""


class Terminal:
    """One command of a run, under an id of its own: `begin`, whatever is `heard`, `end`.

    `now` is the time in microseconds.
    """

    def __init__(self, pen: Pen, command_id: str, now: Callable[[], int]) -> None:
        self.bytes = 0
        self._pen = pen
        self._command_id = command_id
        self._now = now
        self._began_at = now()
        self._pending = 0
        self._begun: dict[str, bytes] = {}

    def begin(self, command: Sequence[str], *, cwd: str = "", tty: bool = False, stdin: bool = False) -> None:
        """Say that the command begins."""
        self._began_at = self._now()
        self._emit(STARTED, {"command": list(command), "cwd": cwd, "tty": tty, "stdin": stdin})

    async def heard(self, stream: str, piece: bytes) -> None:
        """Write what came from `stdout`, `stderr` or the `tty`; it comes back from the log byte for byte."""
        self.bytes += len(piece)
        data = self._begun.pop(stream, b"") + piece
        whole = _whole(data)
        if whole < len(data):
            self._begun[stream] = data[whole:]
        self._say(stream, data[:whole])
        self._pending += len(piece)
        if self._pending >= DURABLE_BYTES:
            self._pending = 0
            await self._pen.save([])

    def typed(self, by: str, input_id: str, size: int, echoed: bytes | None) -> None:
        """Say that the command was given what a person typed; of it, the bytes that its terminal echoed."""
        text, encoding = spelled(echoed or b"")
        told = {"by": by, "input_id": input_id, "bytes": size, "echoed": echoed is not None}
        self._emit(TYPED, {**told, "chunk": text, "encoding": encoding})

    def resized(self, cols: int, rows: int) -> None:
        """Say that the terminal of the command has another size."""
        self._emit(RESIZED, {"cols": cols, "rows": rows})

    def end(self, status: int | None) -> None:
        """Say how the command ended: its exit status (128 + n for the signal n), None if it did not by itself."""
        for stream, data in self._begun.items():
            self._say(stream, data)
        self._begun.clear()
        told: dict[str, Any] = {"duration_ms": max(self._now() - self._began_at, 0) // 1000}
        if status is not None:
            told["exit_code"] = status
        name = None if status is None else signal_name(status)
        if name is not None:
            told["signal"] = name
        self._emit(ENDED, told)

    def _say(self, stream: str, data: bytes) -> None:
        if not data:
            return
        try:
            said = {"stream": stream, "chunk": data.decode()}
        except UnicodeDecodeError:
            said = {"stream": stream, "chunk": b64encode(data).decode(), "encoding": "base64"}
        self._emit(OUTPUT, said)

    def _emit(self, type_: str, data: dict[str, Any]) -> None:
        self._pen.emit(Draft(type_, {"command_id": self._command_id, **data}))


def signal_name(status: int) -> str | None:
    """Return the signal that an exit status tells of, if it does."""
    if status <= SIGNALLED:
        return None
    try:
        return signal.Signals(status - SIGNALLED).name
    except ValueError:
        return f"signal {status - SIGNALLED}"


def _whole(data: bytes) -> int:
    """Return where the last character begins that the end of these bytes cuts, else their length."""
    for back in range(1, min(CHARACTER_BYTES, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if length > back else len(data)
    return len(data)
