"""What the log of a run tells of its commands' terminal: the data of these events, and the bytes in them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

STARTED, OUTPUT = "terminal.command_started", "terminal.output"
GAP, ENDED = "terminal.gap", "terminal.command_ended"
INPUT, TYPED, RESIZED = "terminal.input", "terminal.typed", "terminal.resized"
TYPES = frozenset({STARTED, OUTPUT, GAP, ENDED, INPUT, TYPED, RESIZED})
COLUMNS, ROWS = 80, 24
"""The size that every terminal begins with."""
SIDE_MAX = 1000
"""The most columns, or rows, that a terminal has."""
CHUNK_BYTES = 65_536
"""The most bytes that one event holds."""

Encoding = Literal["utf-8", "base64"]
What = Literal["keys", "end", "size"]
"""What people do to a terminal: type, end what is typed, and change its size."""
Name = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]


class CommandStarted(msgspec.Struct, frozen=True, omit_defaults=True):
    """`terminal.command_started`: a command begins; with a terminal (`tty`), of `cols` by `rows`, or with pipes.

    With `stdin` it reads what people type.
    """

    command_id: Name
    command: tuple[str, ...] = ()
    cwd: str = ""
    tty: bool = False
    stdin: bool = False
    cols: int = COLUMNS
    rows: int = ROWS


class TerminalOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """`terminal.output`: a piece of what a command wrote to `stdout`, `stderr` or its `tty`, at most 64 KiB.

    Neighbours of one stream are merged. What is no UTF-8 stands in base64.
    """

    stream: Name = "stdout"
    chunk: str = ""
    command_id: Name = ""
    encoding: Encoding = "utf-8"

    def bytes(self) -> bytes:
        """Return what was written. Raises `ValueError` for what says base64 and is not."""
        if self.encoding == "utf-8":
            return self.chunk.encode("utf-8", "replace")
        try:
            return b64decode(self.chunk, validate=True)
        except NotBase64 as wrong:
            raise ValueError(str(wrong)) from None


class TerminalGap(msgspec.Struct, frozen=True, omit_defaults=True):
    """`terminal.gap`: from here on nothing more of this command is kept: it, or its attempt, printed `most` bytes."""

    command_id: Name
    reason: Literal["command_limit", "attempt_limit"]
    most: int


class CommandEnded(msgspec.Struct, frozen=True, omit_defaults=True):
    """`terminal.command_ended`: how it ended, and what the log holds of its output: so many bytes, of this digest.

    No `exit_code`: it did not end by itself. `dropped_bytes` are those after a gap.
    """

    command_id: Name
    exit_code: int | None = None
    signal: str | None = None
    duration_ms: int = 0
    output_bytes: int = 0
    dropped_bytes: int = 0
    sha256: str = ""


class Touched(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`terminal.input`: a person typed so many `bytes` for a command, ended that, or asks for another size.

    The event's actor is that person. The bytes themselves are kept, sealed, under `input_id` until the command has been
    given them; `ref` is what the person's program called this.
    """

    command_id: Name
    what: What
    input_id: str
    bytes: int = 0
    cols: int | None = None
    rows: int | None = None
    ref: str | None = None


class Typed(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`terminal.typed`: the command was given what `by` typed, up to and with `input_id`: so many `bytes`.

    Only what its terminal `echoed` stands in `chunk`, redacted as one text with what came before; what redaction still
    holds back comes later, in an event without an `input_id`.
    """

    command_id: Name
    by: Name
    input_id: str | None = None
    bytes: int = 0
    echoed: bool = False
    chunk: str = ""
    encoding: Encoding = "utf-8"


class Resized(msgspec.Struct, frozen=True, omit_defaults=True):
    """`terminal.resized`: from here on the terminal of a command has this size."""

    command_id: Name
    cols: int
    rows: int


def typed(told: Typed) -> bytes:
    """Return what was typed. Raises `ValueError` for what says base64 and is not."""
    return TerminalOutput(chunk=told.chunk, encoding=told.encoding).bytes()


def spelled(data: bytes) -> tuple[str, Encoding]:
    """Return bytes as an event holds them."""
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        return b64encode(data).decode(), "base64"


def chunks(data: bytes) -> Iterator[bytes]:
    """Cut bytes into what events hold, between two characters where there are any."""
    at = 0
    while len(data) - at > CHUNK_BYTES:
        end = at + CHUNK_BYTES
        while end > at + CHUNK_BYTES - 3 and data[end] & 0xC0 == 0x80:  # inside of a character: it goes with the next
            end -= 1
        yield data[at:end]
        at = end
    if at < len(data):
        yield data[at:]
