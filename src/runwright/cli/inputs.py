"""What people type, read: JSON, pairs, instants. Everything wrong is a `UsageError` that shows how it is done right."""

import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from runwright.cli.exits import CommandError, UsageError

Yes = Annotated[bool, Parameter(alias="-y", help="Do not ask.")]
Ids = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""Ids, or - for standard input."""


def read_text(source: str) -> str:
    """Return what `source` names: standard input (`-`), a file (`@PATH`), or the text itself."""
    try:
        if source == "-":
            return sys.stdin.read()
        return Path(source[1:]).read_text("utf-8") if source.startswith("@") else source
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source} cannot be read: {error}") from None


def json_object(source: str, option: str) -> dict[str, Any]:
    """Return the JSON object that an option gives."""
    text = read_text(source)
    try:
        value = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{option} is not JSON: {error}", f"""Write {option} '{{"name": "value"}}'.""") from None
    if not isinstance(value, dict):
        raise UsageError(f"{option} must be a JSON object.", f"""Write {option} '{{"name": "value"}}'.""")
    return value


def order_of(source: str | None, model: str | None, **named: Any) -> dict[str, Any]:
    """Return the order of a run: what `--order` says, and on top of it what other options name."""
    asked = json_object(source or "{}", "order")
    asked |= {name: value for name, value in named.items() if value is not None}
    return asked | ({} if model is None else {"models": {"orchestrator": model}})


def json_objects(source: str, option: str, example: str) -> list[dict[str, Any]]:
    """Return the JSON objects of the list that an option gives."""
    try:
        return msgspec.json.decode(read_text(source), type=list[dict[str, Any]])
    except msgspec.MsgspecError as error:
        raise UsageError(f"{option} is not a JSON list of objects: {error}", f"Write {option} '{example}'.") from None


def words(text: str, option: str) -> list[str]:
    """Return the words of a command line, as a shell would read them."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{option} cannot be read: {error}", f"Write {option} 'python3 -u job.py'.") from None


def pairs(items: Iterable[str], option: str) -> dict[str, str]:
    """Return `KEY=VALUE` items as a map."""
    found: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {item!r} is not KEY=VALUE.", f"Write {option} env=production.")
        found[key] = value
    return found


def instant(text: str, option: str) -> datetime:
    """Return an RFC 3339 instant; without an offset it is taken as UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not an instant.", f"Write {option} 2026-12-31T23:59:00Z.") from None
    return at if at.utcoffset() is not None else at.replace(tzinfo=UTC)


def confirm(preview: str, yes: bool) -> None:
    """Show what a command would do and ask whether to go on; `yes` says so beforehand.

    Without a terminal there is nobody to ask: that is a `UsageError`. Anything but a yes ends the command.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{preview} Nobody is there to confirm it.", "Add --yes to go on without being asked.")
    sys.stderr.write(f"{preview} Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was done.", "Answer y to go on, or add --yes.")


def window(text: str, option: str, first: str, second: str) -> dict[str, int | float]:
    """Return two numbers with a comma between them as the fields of a window."""
    try:
        numbers = [float(part) for part in text.split(",")]
        one, two = (int(number) if number == int(number) else number for number in numbers)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is not two numbers.", f"Give {first} and {second}, as in 5,60.") from None
    return {first: one, second: two}


def tools(names: Iterable[str], none: bool) -> list[str] | None:
    """Return the tools that are named, none of all, or None where nothing is said of them."""
    named = list(names)
    if named and none:
        raise UsageError("--no-tools leaves no --tool.", "Give one of them.")
    return [] if none else named or None


def link(given: str, option: str) -> dict[str, Any]:
    """Return a link of a chain: a slug, or a JSON object with `job` and perhaps `payload_template`."""
    return json_object(given, option) if given.lstrip().startswith(("{", "@")) else {"job": given}
