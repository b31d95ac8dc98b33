"""One given value to a checked one: what comes from a shell or a file is text, and may be anything."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runwright.config.setting import Setting

_SHAPES = {
    "database_url": "an address like postgresql://user:password@host:5432/database",
    "worker": "module:app",
    "scan_commands": "name=command",
    "oidc_roles": "value=role",
}
_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def read(setting: Setting, value: Any) -> Any:
    """Convert one given value; a `ValueError` says what it must be."""
    reader = _READERS[setting.type]
    return reader(setting, value)


def _integer(setting: Setting, value: Any) -> int:
    expected = f"a whole number {_span(setting)}"
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not setting.low <= value <= setting.high:
        raise ValueError(expected)
    return value


def _number(setting: Setting, value: Any) -> float:
    expected = f"a number {_span(setting)}"
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise ValueError(expected) from None
    if not setting.low <= number <= setting.high:  # also refuses nan
        raise ValueError(expected)
    return number


def _text(setting: Setting, value: Any) -> str:
    if setting.choices:
        if value not in setting.choices:
            raise ValueError("one of " + ", ".join(setting.choices))
        return str(value)
    if not isinstance(value, str) or not setting.low <= len(value) <= setting.high or "\0" in value:
        raise ValueError(f"a text of {setting.low:g} to {setting.high:g} characters")
    if setting.pattern and not re.fullmatch(setting.pattern, value):
        raise ValueError(_SHAPES.get(setting.name, "a text of printable characters without spaces"))
    return value


def _flag(setting: Setting, value: Any) -> bool:
    flag = _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise ValueError("true or false")
    return flag


def _path(setting: Setting, value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("a path")
    return Path(value).expanduser()


def _texts(setting: Setting, value: Any) -> tuple[str, ...]:
    items = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(
        isinstance(item, str) and re.fullmatch(setting.pattern or ".+", item) for item in items
    ):
        raise ValueError(f"a list of {_SHAPES.get(setting.name, 'texts')}")
    return tuple(items)


_READERS: dict[Any, Callable[[Setting, Any], Any]] = {
    int: _integer,
    float: _number,
    bool: _flag,
    str: _text,
    str | None: _text,
    Path: _path,
    tuple[str, ...]: _texts,
}


def _span(setting: Setting) -> str:
    if setting.high == math.inf:
        return f"of at least {setting.low:g}"
    return f"from {_plain(setting.low)} to {_plain(setting.high)}"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)
