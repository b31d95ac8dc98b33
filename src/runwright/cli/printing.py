"""Output: tables for people, plain columns for pipes, JSON for programs; notes and errors go to standard error."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

_BAD = frozenset({"failed", "timed_out", "crashed", "system_failed", "dead_letter", "expired", "error", "fail"})
_ODD = frozenset({"canceled", "cancelled", "paused", "warning", "warn"})
_GOOD = frozenset({"completed", "ok"})


def out() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """Return a console on standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """Print a line on standard output."""
    out().print(Text(text))


def note(text: str) -> None:
    """Print a line for people on standard error, out of the way of what a program reads."""
    err().print(Text(text, style="dim"))


def fail(message: str, hint: str = "") -> None:
    """Print what went wrong and what to do about it."""
    console = err()
    console.print(Text.assemble(("error: ", "bold red"), message))
    if hint:
        console.print(Text(hint))


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


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their columns: a table on a terminal, aligned plain text elsewhere."""
    cells = [[shown(value) for value in row] for row in rows]
    console = out()
    if console.is_terminal:
        grid = Table(*columns, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for row in cells:
            grid.add_row(*(Text(cell, style=_style(cell)) for cell in row))
        console.print(grid)
        return
    lines = [[column.upper() for column in columns], *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def detail(facts: Iterable[tuple[str, Any]]) -> None:
    """Print named facts, one a line; those that are not set are left out."""
    known = [(name, shown(value)) for name, value in facts if value not in (None, "", {}, [])]
    width = max((len(name) for name, _ in known), default=0)
    console = out()
    for name, value in known:
        console.print(Text.assemble((f"{name:<{width}}  ", "bold"), (value, _style(value))))


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
