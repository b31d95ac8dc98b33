"""Files that people write about their repository, read into plain values, each with the line at which it stands.

YAML and JSON alike, of at most a mebibyte. Of YAML only what is JSON's kind of value is taken: no aliases (so nothing
small can stand for something huge), no tags, no key twice, one document; `yes` is a word, and `1.0` a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import yaml

from runwright.errors import PolicyInvalid

MAX_BYTES = 1 << 20
DEPTH_MAX = 20
_NULL, _TRUE, _FALSE = {"", "~", "null", "Null", "NULL"}, {"true", "True", "TRUE"}, {"false", "False", "FALSE"}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?")
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")
_PLACE = re.compile(r" - at `\$?([^`]*)`\Z")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

T = TypeVar("T")


class Written(msgspec.Struct, frozen=True):
    """What a file says, under its name; `lines` has the line of each value by its place, where they are known."""

    name: str
    value: Any
    lines: dict[str, int] = {}

    def invalid(self, place: str, message: str) -> PolicyInvalid:
        """Return what is to be raised about the value at a place (`gates[0].id`)."""
        return PolicyInvalid.of(self.name, place, self._line(place), message)

    def read(self, kind: type[T], value: Any, place: str = "") -> T:
        """Return a value as a record of ours. Raises `PolicyInvalid` with the place of what is wrong."""
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as wrong:
            said = str(wrong)
            inner = found[1] if (found := _PLACE.search(said)) else ""
            at = (place + inner).lstrip(".")
            if field := _UNKNOWN_FIELD.search(said):
                at = f"{at}.{field[1]}".lstrip(".")
                raise self.invalid(at, "there is no such key here; nothing is read and then ignored") from None
            raise self.invalid(at, _PLACE.sub("", said)) from None

    def _line(self, place: str) -> int | None:
        while place and place not in self.lines:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self.lines.get(place)


def read_written(data: bytes, name: str, *, most_bytes: int = MAX_BYTES) -> Written:
    """Return what a file says; one whose name ends in .json is JSON, others are YAML. Raises `PolicyInvalid`."""
    if len(data) > most_bytes:
        raise PolicyInvalid.of(name, "", None, f"it has more than {most_bytes} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PolicyInvalid.of(name, "", None, "it is no UTF-8") from None
    return _json(text, name) if name.endswith(".json") else _Yaml(text, name).read()


def _json(text: str, name: str) -> Written:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
            raise PolicyInvalid.of(name, twice, None, "the key stands there twice")
        return found

    def never(word: str) -> Any:
        raise ValueError(f"{word} is no number of JSON")

    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=never)
        msgspec.json.encode(value)
        return Written(name, value)
    except UnicodeEncodeError:
        raise PolicyInvalid.of(name, "", None, "it holds half a character (a lone surrogate)") from None
    except json.JSONDecodeError as wrong:
        raise PolicyInvalid.of(name, "", wrong.lineno, f"it is no JSON: {wrong.msg}") from None
    except RecursionError:
        raise PolicyInvalid.of(name, "", None, f"its values lie more than {DEPTH_MAX} deep") from None
    except ValueError as wrong:
        raise PolicyInvalid.of(name, "", None, str(wrong)) from None


class _Yaml:
    """Reads one document of YAML, event by event."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._lines: dict[str, int] = {}

    def read(self) -> Written:
        try:
            events = yaml.parse(self._text, Loader=_Loader)
            value = self._document(events)
        except yaml.MarkedYAMLError as wrong:
            mark = wrong.problem_mark
            line = mark.line + 1 if mark else None
            raise PolicyInvalid.of(self._name, "", line, f"it is no YAML: {wrong.problem or wrong.context}") from None
        except yaml.YAMLError as wrong:
            raise PolicyInvalid.of(self._name, "", None, f"it is no YAML: {str(wrong).splitlines()[0]}") from None
        return Written(self._name, value, self._lines)

    def _document(self, events: Iterator[Any]) -> Any:
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._wrong(event, "", "it has more than one document")
                value = self._value(next(events), events, "", 0)
        return value

    def _value(self, event: Any, events: Iterator[Any], place: str, depth: int) -> Any:
        self._lines.setdefault(place, _line(event))
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self._wrong(event, place, "anchors and aliases are not taken; write the value out")
        if event.tag is not None:
            raise self._wrong(event, place, f"tags are not taken ({event.tag})")
        if depth > DEPTH_MAX:
            raise self._wrong(event, place, f"its values lie more than {DEPTH_MAX} deep")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, place, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            found: list[Any] = []
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                found.append(self._value(inner, events, f"{place}[{len(found)}]", depth + 1))
            return found
        return _scalar(event.value) if not event.style else event.value

    def _mapping(self, events: Iterator[Any], place: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent) or key.tag is not None or key.anchor is not None:
                raise self._wrong(key, place, "a key is a word")
            at = f"{place}.{key.value}" if place else key.value
            if key.value in found:
                raise self._wrong(key, at, "the key stands there twice")
            self._lines[at] = _line(key)
            found[key.value] = self._value(next(events), events, at, depth + 1)
        return found

    def _wrong(self, event: Any, place: str, message: str) -> PolicyInvalid:
        return PolicyInvalid.of(self._name, place, _line(event), message)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(word: str) -> Any:
    if word in _NULL:
        return None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    if _INTEGER.fullmatch(word):
        return int(word)
    return float(word) if _NUMBER.fullmatch(word) else word
