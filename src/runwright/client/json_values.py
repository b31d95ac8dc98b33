"""What counts as JSON: one place that says it, and says where it is broken."""

import math
from typing import Any

import msgspec

from runwright.client.errors import NotJson


def json_copy(value: Any) -> Any:
    """Return what `value` is after a trip through JSON: exactly what a later attempt will read back.

    Tuples become lists; msgspec Structs and dataclasses become objects. Everything else that JSON does not have (sets,
    bytes, dates, NaN, keys that are not texts) raises `NotJson` with its place, rather than changing silently.
    """
    try:
        copy = msgspec.json.decode(msgspec.json.encode(value))
        if _same(copy, value):
            return copy
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        pass  # the walk below finds the place
    try:
        plain = _plain(value, "$")
        return msgspec.json.decode(msgspec.json.encode(plain))
    except RecursionError:
        raise NotJson("it is nested too deeply, or contains itself") from None


def lenient_copy(data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` as JSON with whatever JSON does not have written as text: for records that only people read."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(_forgiving(data, 0)))
    return copy


def _same(copy: Any, value: Any) -> bool:
    # A fast path for what is JSON already; == compares in C.
    return type(value) in _PLAIN_TYPES and bool(copy == value)


_PLAIN_TYPES = (dict, list, str, int, float, bool, type(None))


def _plain(value: Any, path: str) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            return int(value)
        case str():
            return _text(value, path)
        case float():
            if not math.isfinite(value):
                raise NotJson(f"{path} is {value}, which JSON does not have")
            return float(value)
        case list() | tuple():
            return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
        case dict():
            return {_key(key, path): _plain(item, f"{path}.{key}") for key, item in value.items()}
    fields = getattr(value, "__struct_fields__", None) or getattr(value, "__dataclass_fields__", None)
    if fields is not None and not isinstance(value, type):
        return {name: _plain(getattr(value, name), f"{path}.{name}") for name in fields}
    raise NotJson(f"{path} is {_named(value)}, which JSON does not have")


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise NotJson(f"{path} has the key {key!r}, which is not a text")
    return _text(key, path)


def _text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotJson(f"{path} is a text that is not valid Unicode") from None
    return str(value)


def _named(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_DEEPEST = 50


def _forgiving(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return "…"
    match value:
        case dict():
            return {_shown(key): _forgiving(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_forgiving(item, depth + 1) for item in value]
        case str():
            return _shown(value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case _:
            return _shown(value)


def _shown(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()
