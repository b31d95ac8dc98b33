"""Output: tables for people, plain columns for pipes, JSON for programs; notes and errors go to standard error."""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

import msgspec

from runwright.client.models import Record

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold red": "1;31"}
_BAD = frozenset({"failed", "timed_out", "crashed", "system_failed", "dead_letter", "expired", "error", "fail"})
_ODD = frozenset({"canceled", "cancelled", "paused", "warning", "warn"})
_GOOD = frozenset({"completed", "ok"})


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person reads the stream; `FORCE_COLOR` says so of a pipe, `TERM=dumb` denies it."""
    if os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return a text in a style of the table above, for a terminal that has not said no (`NO_COLOR`)."""
    if not text or not style or os.environ.get("NO_COLOR") or not is_terminal(stream or sys.stdout):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def say(text: str = "") -> None:
    """Print a line on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a line for people on standard error, out of the way of what a program reads."""
    sys.stderr.write(f"{styled(text, 'dim', sys.stderr)}\n")


def fail(message: str, hint: str = "") -> None:
    """Print what went wrong and what to do about it."""
    sys.stderr.write(f"{styled('error: ', 'bold red', sys.stderr)}{_lines(message)}\n")
    if hint:
        sys.stderr.write(f"{hint}\n")


def show_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json_text(value))


def json_text(value: Any) -> str:
    """Return one JSON document as it is printed."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def show_line(value: Any) -> None:
    """Print one JSON line, at once, as a program that reads a stream wants it."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def show_piece(text: str) -> None:
    """Print a piece of a text that a job writes, at once and as it is, but for what could change the terminal."""
    sys.stdout.write("".join(char if char in "\n\t" else printable(char) for char in text))
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their columns: a table on a terminal, aligned plain text elsewhere."""
    cells = [[shown(value) for value in row] for row in rows]
    head = [column.upper() for column in columns]
    widths = [max(len(line[index]) for line in [head, *cells]) for index in range(len(columns))]
    say("  ".join(styled(cell.ljust(width), "bold") for cell, width in zip(head, widths, strict=True)).rstrip())
    for line in cells:
        padded = [styled(cell.ljust(width), _style(cell)) for cell, width in zip(line, widths, strict=True)]
        say("  ".join(padded).rstrip())


def detail(facts: Iterable[tuple[str, Any]]) -> None:
    """Print named facts, one a line; those that are not set are left out."""
    known = [(name, shown(value)) for name, value in facts if value not in (None, "", {}, [])]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        say(f"{styled(name.ljust(width), 'bold')}  {styled(value, _style(value))}")


def show_record(record: Record, as_json: bool) -> None:
    """Print an object of the API as its facts, or as the JSON that the server sent."""
    if as_json:
        show_json(record.raw)
    else:
        detail(record.raw.items())


def show_rows(records: Sequence[Record], columns: Sequence[str], as_json: bool) -> None:
    """Print objects of the API as rows of these fields, or as one array of the JSON that the server sent."""
    if as_json:
        show_json([record.raw for record in records])
    else:
        heads = [re.sub("_(at|id|class)$", "", column) for column in columns]
        table(heads, [[getattr(record, column) for column in columns] for record in records])


def shown(value: Any) -> str:
    """Return a value as a cell of a table: one line, without control characters."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case str():
            text = value
        case datetime():
            text = value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case dict() | list():
            text = msgspec.json.encode(value).decode()
        case _:
            text = str(value)
    return printable(text)


def printable(text: str) -> str:
    """Return a text that cannot move the cursor or change the terminal: a job wrote it, not we."""
    return "".join(char if char.isprintable() else " " for char in text)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def duration(ms: float | None) -> str:
    """Return a length of time as people read it."""
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 120_000 else f"{ms / 60_000:.1f} min"


def _style(cell: str) -> str:
    if cell in _BAD:
        return "red"
    if cell in _ODD:
        return "yellow"
    return "green" if cell in _GOOD else ""
