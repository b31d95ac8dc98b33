"""Where secrets stand in a text: what redaction would take out, by place and kind, and never by its words."""

from __future__ import annotations

import msgspec

from runwright.domain.scan import Finder, Stream


class Sighting(msgspec.Struct, frozen=True):
    """A secret of a kind, from one character of its text to another."""

    kind: str
    start: int
    end: int


class _Listening(Stream):
    """Redacts a whole text at once, and remembers where."""

    def __init__(self, find: Finder) -> None:
        super().__init__(find)
        self.heard: list[tuple[str, int, int]] = []
        self._open: tuple[str, int] | None = None

    def _began(self, kind: str, begin: int) -> None:
        self._open = (kind, begin)

    def _ended(self, end: int) -> None:
        if self._open is not None:
            self.heard.append((*self._open, end))
            self._open = None


def sightings(find: Finder, encoded: bytes) -> list[Sighting]:
    """Return the secrets of a whole text (UTF-8), in order; the same that redaction takes out."""
    stream = _Listening(find)
    stream.finish(encoded)
    found, characters, at = [], 0, 0
    for kind, begin, end in stream.heard:
        characters += len(encoded[at:begin].decode("utf-8", "replace"))
        long = len(encoded[begin:end].decode("utf-8", "replace"))
        found.append(Sighting(kind, characters, characters + long))
        characters, at = characters + long, end
    return found


def masked(text: str, found: list[Sighting]) -> str:
    """Return a text with its secrets replaced, and as many lines as before."""
    parts: list[str] = []
    at = 0
    for each in found:
        parts += (text[at : each.start], f"[redacted:{each.kind}]", "\n" * text.count("\n", each.start, each.end))
        at = each.end
    return "".join((*parts, text[at:]))
