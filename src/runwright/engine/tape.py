"""What the commands of one attempt print, on its way into the log: redacted by stream, in order, within bounds.

Each stream of a command is redacted as one text, however its writer cut it. Pieces of one stream that arrive one after
the other become one event; another stream's piece, or the end of the command, comes between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import groupby
from typing import Any

import msgspec

from runwright.domain.events import Draft
from runwright.domain.redaction import Redactor, Stream, compose
from runwright.domain.terminal_events import (
    ENDED,
    GAP,
    OUTPUT,
    RESIZED,
    STARTED,
    TYPED,
    CommandEnded,
    CommandStarted,
    Resized,
    TerminalOutput,
    Typed,
    chunks,
    spelled,
    typed,
)
from runwright.errors import InvalidRequest

MARK = "\0"
"""What stands in the names that streams have here, and in no name that a caller may give to one."""
_OF_TERMINAL = f"{MARK}terminal{MARK}"
"""How the names of a terminal's streams begin; the command and the stream follow."""
_OF_PERSON = MARK
"""How the name of a stream begins that a person typed; who that is follows."""
ON_TAPE = frozenset({STARTED, OUTPUT, ENDED, TYPED, RESIZED})
"""The events whose order among each other the tape keeps."""


class Limits(msgspec.Struct, frozen=True):
    """How much of a command's output is kept, and of all commands of an attempt together."""

    command_bytes: int = 64 << 20
    attempt_bytes: int = 256 << 20


USUAL = Limits()


class Counted(msgspec.Struct, array_like=True):
    """How much a command printed, how much of it was dropped, and whether it came to its limit."""

    printed: int = 0
    dropped: int = 0
    full: bool = False


class _Command:
    """What was printed by a command, and what the log holds of it."""

    def __init__(self, counted: Counted | None = None) -> None:
        self.counted = counted or Counted()
        self.held = 0
        self.digest = sha256()

    def take(self, data: bytes) -> None:
        """Count what the log holds."""
        self.held += len(data)
        self.digest.update(data)

    def copy(self) -> _Command:
        """Return one that stands where this does."""
        other = _Command(msgspec.structs.replace(self.counted))
        other.held, other.digest = self.held, self.digest.copy()
        return other


class Tape:
    """The commands of one attempt. `streams` are those of its buffer: whoever goes on with them finds them there."""

    def __init__(self, limits: Limits) -> None:
        self.bytes = 0
        self._limits = limits
        self._printed = 0
        self._commands: dict[str, _Command] = {}
        self._pieces: list[tuple[str, bytes]] = []
        self._drafts: list[Draft] = []
        self._closed = False
        self._sure: tuple[int, dict[str, _Command]] = (0, {})

    @property
    def counted(self) -> dict[str, Counted]:
        """Return how much each command printed that has not ended, for whoever goes on with them elsewhere."""
        return {} if self._closed else {name: command.counted for name, command in self._commands.items()}

    def confirm(self, seq: int) -> None:
        """Hear that all that was taken is in the log, which now ends at a seq."""
        self._sure = (seq, {name: command.copy() for name, command in self._commands.items()})

    def rewind(self, counted: Mapping[str, Counted]) -> int:
        """Go back to what was confirmed; return after which seq the log is to be told (`recall`), as others wrote.

        `counted` is what they left.
        """
        seq, sure = self._sure
        self._closed = False
        self._commands = {name: sure[name].copy() if name in sure else _Command() for name in counted}
        for name, command in self._commands.items():
            command.counted = counted[name]
        self._printed = max(self._printed, sum(each.printed for each in counted.values()))
        self._pieces, self._drafts, self.bytes = [], [], 0
        return seq

    def recall(self, output: TerminalOutput) -> None:
        """Take note of what the log holds of a command that goes on here."""
        command = self._commands.get(output.command_id)
        if command is not None:
            command.take(output.bytes())

    @property
    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return not (self._pieces or self._drafts)

    def tell(self, type_: str, data: Mapping[str, Any], streams: dict[str, Stream], redactor: Redactor) -> None:
        """Take how a command begins, what it prints, what it is given, and how it ends.

        Raises `InvalidRequest` for data of another shape.
        """
        try:
            if type_ == STARTED:
                self._settle(redactor)
                self._drafts.append(Draft(STARTED, redactor.data(msgspec.convert(data, CommandStarted))))
            elif type_ == OUTPUT:
                told = msgspec.convert(data, TerminalOutput)
                self._print(told, told.bytes(), streams, redactor)
            elif type_ == TYPED:
                self._type(msgspec.convert(data, Typed), streams, redactor)
            elif type_ == RESIZED:
                self._settle(redactor)
                self._drafts.append(Draft(RESIZED, redactor.data(msgspec.convert(data, Resized))))
            else:
                self._end(msgspec.convert(data, CommandEnded), streams, redactor)
        except ValueError as wrong:  # what msgspec raises is one, too
            raise InvalidRequest(f"{type_}: {wrong}", code="events.data") from None

    def _print(self, told: TerminalOutput, data: bytes, streams: dict[str, Stream], redactor: Redactor) -> None:
        command = self._commands.setdefault(told.command_id, _Command())
        counted = command.counted
        if counted.full:
            counted.dropped += len(data)
            return
        room = min(self._limits.command_bytes - counted.printed, self._limits.attempt_bytes - self._printed)
        kept = data[:room]
        counted.printed += len(kept)
        self._printed += len(kept)
        name = f"{_OF_TERMINAL}{told.command_id}{MARK}{told.stream}"
        stream = streams[name] = redactor.carried(streams.get(name))
        self._add(name, stream.take(kept))
        if len(data) > room:
            counted.dropped = len(data) - room
            self._cut(told.command_id, command, streams, redactor)

    def _type(self, told: Typed, streams: dict[str, Stream], redactor: Redactor) -> None:
        """Take what the command was given: what one person typed is one text, too."""
        self._settle(redactor)
        data = typed(told)
        if told.echoed:
            name = f"{_OF_TERMINAL}{told.command_id}{MARK}{_OF_PERSON}{told.by}"
            stream = streams[name] = redactor.carried(streams.get(name))
            data = stream.take(data)
        self._drafts.append(_typed(told, data if told.echoed else b"", redactor))

    def _cut(self, command_id: str, command: _Command, streams: dict[str, Stream], redactor: Redactor) -> None:
        """Say where the output of a command ends that goes on printing."""
        command.counted.full = True
        self._close(command_id, streams, redactor)
        self._settle(redactor)
        limits = self._limits
        own = command.counted.printed >= limits.command_bytes
        reason, most = ("command_limit", limits.command_bytes) if own else ("attempt_limit", limits.attempt_bytes)
        gap = {"command_id": redactor.text(command_id), "reason": reason, "most": most}
        self._drafts.append(Draft(GAP, compose(gap)))

    def _end(self, told: CommandEnded, streams: dict[str, Stream], redactor: Redactor) -> None:
        self._close(told.command_id, streams, redactor)
        self._settle(redactor)
        command = self._commands.pop(told.command_id, None) or _Command()
        ended = msgspec.structs.replace(
            told,
            command_id=redactor.text(told.command_id),
            signal=None if told.signal is None else redactor.text(told.signal),
            output_bytes=command.held,
            dropped_bytes=command.counted.dropped,
            sha256=command.digest.hexdigest(),
        )
        self._drafts.append(Draft(ENDED, compose(ended)))

    def close(self, streams: dict[str, Stream], redactor: Redactor) -> None:
        """Let go what all streams hold back: the attempt is over, and its commands were cut off with it."""
        self._close(None, streams, redactor)
        self.over()

    def over(self) -> None:
        """Count nothing any more: nobody goes on with these commands."""
        self._closed = True

    def _close(self, command_id: str | None, streams: dict[str, Stream], redactor: Redactor) -> None:
        """Let go what streams hold back. They may have been cut anywhere: the larger part of a secret stays away."""
        begin = _OF_TERMINAL if command_id is None else f"{_OF_TERMINAL}{command_id}{MARK}"
        for name in [name for name in streams if name.startswith(begin)]:
            self._add(name, redactor.cut_bytes(redactor.carried(streams.pop(name)).finish(b"")))

    def _add(self, name: str, data: bytes) -> None:
        if data:
            self._pieces.append((name, data))
            self.bytes += len(data)

    def take(self, redactor: Redactor) -> list[Draft]:
        """Return what was told so far as records, in order, and begin anew."""
        self._settle(redactor)
        drafts, self._drafts, self.bytes = self._drafts, [], 0
        return drafts

    def _settle(self, redactor: Redactor) -> None:
        pieces, self._pieces = self._pieces, []
        for name, group in groupby(pieces, key=_name):
            command_id, stream = name.removeprefix(_OF_TERMINAL).split(MARK, 1)
            if stream.startswith(_OF_PERSON):
                rest = Typed(command_id=command_id, by=stream.removeprefix(_OF_PERSON), echoed=True)
                self._drafts.append(_typed(rest, b"".join(piece for _, piece in group), redactor))
                continue
            command = self._commands.setdefault(command_id, _Command())
            said = {"command_id": redactor.text(command_id)} if command_id else {}
            said["stream"] = redactor.text(stream)
            for data in chunks(b"".join(piece for _, piece in group)):
                command.take(data)
                text, encoding = spelled(data)
                # It went through its stream's redaction; to look at it again, cut as it is, would find more.
                how = {} if encoding == "utf-8" else {"encoding": encoding}
                self._drafts.append(Draft(OUTPUT, compose({**said, **how, "chunk": text})))


def _typed(told: Typed, data: bytes, redactor: Redactor) -> Draft:
    text, encoding = spelled(data)
    said = msgspec.structs.replace(
        told, command_id=redactor.text(told.command_id), by=redactor.text(told.by), chunk=text, encoding=encoding
    )
    return Draft(TYPED, compose(said))


def _name(piece: tuple[str, bytes]) -> str:
    return piece[0]
