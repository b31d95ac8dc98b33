"""JSON Schema 2020-12, whole, for schemas that strangers write: bounded before they are used, and nothing is fetched.

`format` is an assertion. Patterns are matched in linear time, so they know no look-around and no back-references.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NoReturn

import jsonschema_rs

from runwright.domain.schema_cost import Costly, costs
from runwright.errors import FieldError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PROBLEMS_MAX = 10
MESSAGE_CHARS = 300
PATTERN_BYTES = 1 << 20
"""The most memory that a compiled pattern may take."""
QUESTIONS_MAX = 20_000_000
"""Questions that one value may come to: less than half a second of them."""


class BadSchema(ValueError):
    """Refuse a schema: `path` is the place within it, the text says why."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class JsonSchema:
    """A schema that is ready to judge values. Raises `BadSchema` for one that is none, or that costs too much."""

    def __init__(self, schema: Any) -> None:
        if isinstance(schema, dict) and schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
            raise BadSchema("$schema", f"must be {DIALECT}, or left out")
        try:
            self._costs = costs(schema)
        except Costly as costly:
            raise BadSchema(costly.path, costly.message) from None
        patterns = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=PATTERN_BYTES)
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                schema, retriever=_refuse, pattern_options=patterns, validate_formats=True, mask="the value"
            )
        except jsonschema_rs.ValidationError as wrong:
            raise BadSchema(place("", wrong.instance_path), _text(wrong.message)) from None
        except (ValueError, TypeError) as wrong:
            raise BadSchema("", _text(str(wrong))) from None

    def problems(self, value: Any, name: str, size: int) -> list[FieldError]:
        """Return what is wrong with a value of `size` bytes that is called `name`, at most `PROBLEMS_MAX` places.

        No message repeats the value: it may be a secret. One that would take too long to judge is wrong, too.
        """
        # Most values have too few bytes to be costly, whatever is in them.
        if self._costs[-1] * (size // 2 + 1) > QUESTIONS_MAX and self._questions(value) > QUESTIONS_MAX:
            return [FieldError(name, "is too large, or has too many levels, for what its schema asks of each place")]
        if self._validator.is_valid(value):
            return []
        found = islice(self._validator.iter_errors(value), PROBLEMS_MAX)
        return [FieldError(place(name, error.instance_path), _text(error.message)) for error in found]

    def _questions(self, value: Any) -> int:
        levels, places, level = 0, 1, [value]
        while level := [inner for each in level for inner in _within(each)]:
            levels, places = levels + 1, places + len(level)
        return places * self._costs[min(levels, len(self._costs) - 1)]


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def place(name: str, path: Sequence[str | int]) -> str:
    """Return a path as fields are named everywhere: `payload.files[0]`."""
    for step in path:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else str(step)
    return name


def _text(message: str) -> str:
    line = message.partition("\n")[0]
    return line if len(line) <= MESSAGE_CHARS else line[: MESSAGE_CHARS - 1] + "…"


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"a schema may not refer to {uri}")
