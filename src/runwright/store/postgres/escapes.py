"""Let text hold U+0000, which PostgreSQL's does not: it travels as SUB and a digit, and comes back as it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runwright.store.base import Row

SUB = "\x1a"
"""Stands before a `0` for U+0000 and before a `1` for itself, so that two texts are never stored as one."""


def escaped(value: Any) -> Any:
    """Return a value as it is stored: text without U+0000, anything else as it is."""
    if type(value) is str and ("\0" in value or SUB in value):
        return value.replace(SUB, f"{SUB}1").replace("\0", f"{SUB}0")
    return value


def plain(stored: Iterable[Any]) -> Row:
    """Return a row as it was before `escaped`."""
    return tuple([_plain(value) if type(value) is str and SUB in value else value for value in stored])


def _plain(text: str) -> str:
    return text.replace(f"{SUB}0", "\0").replace(f"{SUB}1", SUB)
