"""Write one log line: redacted whole, of bounded size, and one line whatever somebody put into its values."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from runwright.domain.redaction import Redactor

DEPTH_MAX = 4
ITEMS_MAX = 50
"""How deep a value of a line may be nested, and how many items each level shows."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_QUOTED = re.compile("[ \t\r\n=\"']")  # the console shows a text that holds one of these as Python writes it, escaped
_HEAD = ("timestamp", "level", "event", "logger", "run_id", "worker_id", "request_id", "trace_id")
_OURS = frozenset({"timestamp", "level", "logger"})
_CUT = "…"

Fields = dict[str, Any]


class Lines:
    """Turn the fields of a line into its text: JSON for machines, or words for people."""

    def __init__(self, redactor: Redactor, form: str, max_bytes: int, *, colors: bool = False) -> None:
        self._redactor = redactor
        self._max_bytes = max_bytes
        self._render: Callable[[Fields], str] = _as_json if form == "json" else _Words(colors)

    def __call__(self, _: Any, __: str, fields: Mapping[str, Any]) -> str:
        """Render a line, as the last processor of a chain: at most `max_bytes` long, in JSON always valid."""
        record: logging.LogRecord = fields["_record"]
        head = {"timestamp": fields["timestamp"], "level": record.levelname.lower(), "event": "", "logger": record.name}
        given = {name: _plain(value) for name, value in fields.items() if name[0] != "_" and name not in _OURS}
        clean: Fields = json.loads(self._redactor.data(head | given))
        bounded = {name: self._bounded(name, value) for name, value in clean.items()}
        line = self._render(bounded)
        if len(line.encode("utf-8", "replace")) <= self._max_bytes:
            return line
        share = self._max_bytes // (10 * len(_HEAD))  # the escapes of JSON may write one character as six
        kept = {name: _shortened(bounded[name], share) for name in _HEAD if name in bounded}
        return self._render({**kept, "cut": "the line was too long"})

    def _bounded(self, name: str, value: Any) -> Any:
        most = self._max_bytes // 4
        if isinstance(value, dict | list):
            encoded = json.dumps(value, ensure_ascii=False)
            return value if len(encoded) <= most else encoded[:most] + _CUT
        if not isinstance(value, str) or len(value) <= most:
            return value
        return _CUT + value[-most:] if name == "exception" else value[:most] + _CUT  # the error stands at the end


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON can hold it; what is neither text, number, list nor map is shown as Python shows it."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() < 64):
        return value
    if depth < DEPTH_MAX and isinstance(value, Mapping):
        return {_plain(str(name)): _plain(each, depth + 1) for name, each in list(value.items())[:ITEMS_MAX]}
    if depth < DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, depth + 1) for each in list(value)[:ITEMS_MAX]]
    return _plain(repr(value))


def _shortened(value: Any, most: int) -> Any:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= most else text[:most] + _CUT


def _as_json(fields: Fields) -> str:
    return _escaped(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


class _Words:
    """Render for people: one line, and below it, indented, what an exception has to say."""

    def __init__(self, colors: bool) -> None:
        self._console = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)

    def __call__(self, fields: Fields) -> str:
        shown = {name: _word(value) for name, value in fields.items()}
        shown["event"] = _escaped(str(fields.get("event", "")))
        if "exception" in fields:
            shown["exception"] = "\n".join(
                "    " + _escaped(line) for line in str(fields["exception"]).splitlines() if line.strip()
            )
        return str(self._console(None, "", shown))


def _word(value: Any) -> Any:
    if isinstance(value, str):
        return value if _QUOTED.search(value) else _escaped(value)
    return value if value is None or isinstance(value, bool | int | float) else msgspec.json.encode(value).decode()


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
