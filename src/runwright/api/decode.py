"""Read a request strictly: what is unknown, malformed, too large or of another type is refused with its path."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect as types
from starlette.types import Receive

from runwright.api import instants
from runwright.errors import FieldError, InvalidRequest, TooLarge, TooSlow, UnsupportedMedia

# An escaped NUL whose backslash is not itself escaped.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PLACED = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`(?P<path>\$.*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<fault>contains unknown|missing required) field `(?P<name>.*)`", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_QUERY_FIELDS_MAX = 1000


class Disconnected(Exception):
    """The client went away before its request was read."""


class Empty(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that takes none: absent, or an object without fields."""


class BodyReader:
    """Read and decode the JSON bodies of one route."""

    __slots__ = ("_decoder", "_limit", "_optional", "_within_s")

    def __init__(self, kind: Any, limit: int, *, within_s: float, optional: bool) -> None:
        """Decode into `kind` what has at most `limit` bytes and arrives `within_s`; `optional` may be absent."""
        self._decoder = msgspec.json.Decoder(kind)
        self._limit = limit
        self._within_s = within_s
        self._optional = optional

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> Any:
        """Return the decoded body, or `msgspec.UNSET` where an optional one is absent."""
        raw = await self._bytes(headers, receive)
        if not raw:
            if self._optional:
                return msgspec.UNSET
            raise InvalidRequest.at("", "a JSON body is required")
        media = headers.get(b"content-type", b"")
        if media != b"application/json" and media.partition(b";")[0].strip().lower() != b"application/json":
            raise UnsupportedMedia
        _require_plain(headers)
        return self._decode(raw)

    async def _bytes(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        # Refused by its announced length before any of it is read, and while it is read in case nothing was announced.
        _require_announced(headers, self._limit)
        try:
            async with asyncio.timeout(self._within_s):
                return await self._received(receive)
        except TimeoutError:
            raise TooSlow(f"The body did not arrive within {self._within_s:g} s.") from None

    async def _received(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Disconnected
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._limit:
                raise TooLarge(f"The body is larger than {self._limit} bytes.")
            parts.append(part)
            if not message.get("more_body", False):
                return part if len(parts) == 1 else b"".join(parts)

    def _decode(self, raw: bytes) -> Any:
        try:
            value = self._decoder.decode(raw)
        except msgspec.ValidationError as fault:
            raise InvalidRequest(fields=[field_error(fault)]) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise InvalidRequest.at("", f"the body is not JSON: {fault}") from None
        except RecursionError:
            raise InvalidRequest.at("", "the body is nested too deeply") from None
        if b"\\u0000" in raw and _NUL.search(raw):
            raise InvalidRequest.at(_nul_path(msgspec.json.decode(raw)) or "", "must not contain NUL")
        return value


class PartsReader:
    """Hand on the bytes of a body of any type as they come; whoever takes them slowly slows their sender down."""

    __slots__ = ("_limit", "_pace_bytes", "_within_s")

    def __init__(self, limit: int, *, within_s: float, pace_bytes: int) -> None:
        """Take at most `limit` bytes; each `pace_bytes` of them may take `within_s`, as a whole body does elsewhere."""
        self._limit = limit
        self._within_s = within_s
        self._pace_bytes = pace_bytes

    def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> AsyncGenerator[bytes]:
        """Return the parts; raise `TooLarge` at once for what is announced as larger than the limit."""
        _require_plain(headers)
        _require_announced(headers, self._limit)
        return self._parts(receive)

    async def _parts(self, receive: Receive) -> AsyncGenerator[bytes]:
        began, size, more = asyncio.get_running_loop().time(), 0, True
        while more:
            try:
                async with asyncio.timeout_at(began + self._within_s * (1 + size // self._pace_bytes)):
                    message = await receive()
            except TimeoutError:
                raise TooSlow(f"{size} bytes of the body arrived, then too few for too long.") from None
            if message["type"] != "http.request":
                raise Disconnected
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._limit:
                raise TooLarge(f"The body is larger than {self._limit} bytes.")
            more = message.get("more_body", False)
            yield part


def _require_plain(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise UnsupportedMedia("The body must be sent without a content encoding.")


def _require_announced(headers: Mapping[bytes, bytes], limit: int) -> None:
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes.")


class QueryReader:
    """Read and decode the query strings of one route; with no struct every parameter is unknown."""

    __slots__ = ("_instants", "_kind", "_lists", "_maps")

    def __init__(self, kind: type[msgspec.Struct] | None) -> None:
        """Decode into `kind`: a list takes a repeated parameter, a map takes `name[key]=value`."""
        shapes = {field.encode_name: _shape(field.type) for field in query_fields(kind)}
        self._kind = kind
        self._lists = {name for name, shape in shapes.items() if shape == "list"}
        self._maps = {name for name, shape in shapes.items() if shape == "map"}
        self._instants = {name for name, shape in shapes.items() if shape == "instant"}

    def read(self, raw: bytes) -> Any:
        """Return the decoded query, or None where the route takes none."""
        values = self._collect(raw) if raw else {}
        for name in self._instants.intersection(values):
            values[name] = instants.queried(values[name])
            if not _DATE.match(values[name]):  # read leniently, a number would be seconds since the epoch
                raise InvalidRequest.at(name, "must be an RFC 3339 instant, such as 2026-12-31T23:59:00Z")
        if self._kind is None:
            if values:
                raise InvalidRequest(fields=[FieldError(name, "is not known") for name in values])
            return None
        try:
            query = msgspec.convert(values, self._kind, strict=False)
        except msgspec.ValidationError as fault:
            raise InvalidRequest(fields=[field_error(fault)]) from None
        for name in values:
            if getattr(query, name) is None:  # msgspec reads the text `null` so: a filter would be dropped in silence
                raise InvalidRequest.at(name, "must not be null: leave it out")
        return query

    def _collect(self, raw: bytes) -> dict[str, Any]:
        try:
            pairs = parse_qsl(
                raw.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=_QUERY_FIELDS_MAX
            )
        except ValueError:
            raise InvalidRequest.at("", "the query string is malformed") from None
        values: dict[str, Any] = {}
        for name, value in pairs:
            if "\0" in name or "\0" in value:
                raise InvalidRequest.at(name.replace("\0", ""), "must not contain NUL")
            stem, bracket, key = name.partition("[")
            if name in self._lists:
                values.setdefault(name, []).append(value)
            elif bracket and stem in self._maps and key.endswith("]"):
                _put(values.setdefault(stem, {}), key[:-1], value, name)
            else:
                _put(values, name, value, name)
        return values


def query_fields(kind: type[msgspec.Struct] | None) -> tuple[types.Field, ...]:
    """Return the fields of a query struct as msgspec sees them."""
    if kind is None:
        return ()
    described = types.type_info(kind)
    if not isinstance(described, types.StructType) or not described.forbid_unknown_fields:
        raise TypeError(f"{kind.__name__} must be a Struct that forbids unknown fields")
    return described.fields


def field_error(fault: msgspec.ValidationError) -> FieldError:
    """Say what msgspec found, in our words: the path as `items[0].payload`, and what is wrong there."""
    placed = _PLACED.fullmatch(str(fault))
    what, path = (placed["what"], placed["path"] or "") if placed else (str(fault), "")
    path = path.removeprefix("$").removeprefix(".")
    named = _FIELD.fullmatch(what)
    if named:
        path = f"{path}.{named['name']}" if path else named["name"]
        return FieldError(path, "is not known" if named["fault"] == "contains unknown" else "is required")
    return FieldError(path, what.replace("`", "").replace("Expected", "expected", 1))


def _shape(kind: types.Type) -> str:
    if isinstance(kind, types.Metadata):
        return _shape(kind.type)
    if isinstance(kind, types.UnionType):
        return next((shape for shape in map(_shape, kind.types) if shape), "")
    if isinstance(kind, types.DictType):
        return "map"
    if isinstance(kind, types.DateTimeType):
        return "instant"
    return "list" if isinstance(kind, types.CollectionType) else ""


def _put(values: dict[str, Any], key: str, value: str, name: str) -> None:
    if key in values:
        raise InvalidRequest.at(name, "is there more than once")
    values[key] = value


def _nul_path(value: Any) -> str | None:
    """Return the path of the first text with a NUL; keys count at the place of their value."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str) and "\0" in value:
            return path
        if isinstance(value, list):
            waiting.extend((f"{path}[{index}]", item) for index, item in enumerate(value))
        elif isinstance(value, dict):
            for key, item in value.items():
                if "\0" in key:
                    return path
                waiting.append((f"{path}.{key}" if path else key, item))
    return None
