"""What a model is shown of an output, and what is kept of a long one beside."""

from __future__ import annotations

from typing import Any

import msgspec


class Shown(msgspec.Struct, frozen=True):
    """What a model reads; `artifact` is the whole output where that is only a part of it."""

    text: str
    artifact: bytes | None = None


def rendered(value: Any) -> str:
    """Return an output as a model reads it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def shown(text: str, most_bytes: int) -> Shown:
    """Return a text if it is short enough, else its beginning and its end with the whole beside.

    Cut what the redactor has seen whole: a cut may go through the middle of a secret.
    """
    whole = text.encode("utf-8", "replace")
    if len(whole) <= most_bytes:
        return Shown(text)
    half = most_bytes // 2
    head, tail = whole[:half].decode("utf-8", "ignore"), whole[-half:].decode("utf-8", "ignore")
    left = len(whole) - len(head.encode()) - len(tail.encode())
    return Shown(f"{head}\n[… {left} bytes left out; the whole output is an artifact …]\n{tail}", whole)
