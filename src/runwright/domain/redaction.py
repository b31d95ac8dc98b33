"""Take secrets out of what is recorded, before it is hashed, stored or sent.

Secrets are the *known values* of a project, in the spellings in which they travel, and whatever `patterns` describes.
Each is replaced by ``[redacted:<kind>]``. A text cut into chunks in any way comes out as the whole does, where secrets
overlap they go as one, and redacting what was redacted changes nothing.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NewType

import msgspec

from runwright.domain.edges import Edges
from runwright.domain.patterns import KNOWN, SECRET_NAME
from runwright.domain.scan import Finder, Stream, Undecided, marker, scalars, utf8
from runwright.domain.sighting import Sighting, sightings
from runwright.domain.spellings import LEAST_CHARACTERS, spellings

__all__ = ["Redacted", "RedactedText", "Redactor", "Stream", "compose"]

Redacted = NewType("Redacted", bytes)
RedactedText = NewType("RedactedText", str)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def compose(payload: msgspec.Struct | dict[str, Any]) -> Redacted:
    """Encode a payload of ours whose free texts went through a redactor already; it is not looked at again."""
    return Redacted(_encode(payload))


def shorten(text: RedactedText, characters: int) -> RedactedText:
    """Return the beginning of a redacted text, with an ellipsis for what is left out."""
    return text if len(text) <= characters else RedactedText(text[:characters] + "…")


class Redactor:
    """Redact texts and JSON for one project; made once per version of its secrets, free of state, and shared."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """Prepare for the secrets ``known``; values of fewer than 4 characters are too common to be taken out."""
        values = [scalars(value) for value in known if len(value) >= LEAST_CHARACTERS]
        self._known = tuple(values)
        self._find = Finder(spellings(values))
        self._numbers = tuple(value for value in values if value.strip("0123456789.+-eE") == "")

    def joined(self, more: Iterable[str]) -> "Redactor":
        """Return a redactor that takes out what this one does, and more."""
        return Redactor((*self._known, *more))

    def text(self, text: str) -> RedactedText:
        """Redact a whole text; one without secrets comes back unchanged, but for lone surrogates (U+FFFD)."""
        encoded = utf8(text)
        if self._find.hint(encoded):
            encoded = Stream(self._find).finish(encoded)
        elif len(encoded) == len(text):  # ASCII, and so the commonest of texts need not be decoded again
            return RedactedText(text)
        return RedactedText(encoded.decode())

    def opening(self, text: str) -> RedactedText:
        """Redact a text that may have been cut off: the larger part of a known secret at its very end goes as well.

        A stream that is closed by `cut_off` says the same.
        """
        clean = self.text(text)
        return RedactedText(self.cut_off(clean)) if self._known else clean

    def cut_off(self, rest: str) -> str:
        """Return the redacted end of a text without the larger part of a known secret that it ends with."""
        return self.cut_bytes(utf8(rest)).decode()

    def cut_bytes(self, rest: bytes) -> bytes:
        """Return the redacted end of bytes as `cut_off` does that of a text."""
        size = self._edges.after(rest)
        return rest[:-size] + marker(KNOWN) if size else rest

    def excerpt(self, text: str) -> RedactedText:
        """Redact a text that may be cut at both ends: the larger part of a known secret goes at either of them.

        Blanks around it do not save it.
        """
        clean = self.text(text)
        if not self._known:
            return clean
        body = clean.strip()
        start = clean.find(body)
        encoded = utf8(body)
        before = self._edges.before(encoded)
        encoded = (marker(KNOWN) if before else b"") + encoded[before:]
        after = self._edges.after(encoded)
        kept = (encoded[:-after] + marker(KNOWN)).decode() if after else encoded.decode()
        return RedactedText(clean[:start] + kept + clean[start + len(body) :])

    @cached_property
    def _edges(self) -> Edges:
        return Edges(self._find.known)

    def data(self, obj: Any) -> Redacted:
        """Encode ``obj`` as compact JSON and redact its strings, keys and numbers; the JSON stays valid.

        A string under a key like ``password`` goes whole. Raises what msgspec raises for an object that is not JSON.
        """
        encoded = _encode(obj)
        if not self._find.hint(encoded) or (b"\\" not in encoded and not self._find.suspect(encoded)):
            return Redacted(encoded)
        return Redacted(_encode(self._walk(_decode(encoded))))

    def raw(self, json_bytes: bytes) -> Redacted:
        """Redact JSON that someone else encoded; where nothing looks like a secret it comes back byte for byte.

        Raises `msgspec.DecodeError` for what is not JSON, as far as it had to be read.
        """
        if self.clear(json_bytes):
            return Redacted(json_bytes)
        return Redacted(_encode(self._walk(_decode(json_bytes))))

    def clear(self, encoded: bytes) -> bool:
        """Tell that `text` and `raw` would leave all of these alone, JSON and texts in UTF-8 one after the other.

        What is not clear must be looked at piece by piece: most of it will be left alone, too.
        """
        # An escape may hide a letter of a secret: such JSON is read, whatever the automaton says of its bytes.
        escaped = b"\\" in encoded and (b"\\u" in encoded or b"\\/" in encoded)
        return not escaped and not self._find.hint(encoded)

    def sightings(self, text: str) -> list[Sighting]:
        """Return where in a whole text what `text` takes out stands, in characters."""
        encoded = utf8(text)
        return sightings(self._find, encoded) if self._find.hint(encoded) else []

    def stream(self, left: Undecided | None = None) -> Stream:
        """Start the redaction of a text that arrives in chunks, one for each (run, channel), or go on with one."""
        return Stream(self._find, left)

    def carried(self, stream: Stream | None) -> Stream:
        """Return a stream that goes on under this redactor, from where one stood under another; or a new one."""
        if stream is not None and stream.under(self._find):
            return stream
        return self.stream(None if stream is None else stream.undecided)

    def _walk(self, value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            found = SECRET_NAME.search(name) if name and value else None
            return marker(found.lastgroup or KNOWN).decode() if found else self.text(value)
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if isinstance(value, dict):
            return self._walk_mapping(value)
        if self._numbers and isinstance(value, (int, float)) and not isinstance(value, bool):
            text = _encode(value).decode()
            return marker(KNOWN).decode() if any(number in text for number in self._numbers) else value
        return value

    def _walk_mapping(self, mapping: dict[str, Any]) -> dict[str, Any]:
        clean: dict[str, Any] = {}
        for name, value in mapping.items():
            shown: str = self.text(name)
            while shown in clean:  # two names that became one marker are still two entries
                shown += "_"
            clean[shown] = self._walk(value, name)
        return clean
