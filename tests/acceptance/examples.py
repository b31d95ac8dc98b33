"""Examples of public documents, and how answers are held against them: each field is there, and of its type."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.acceptance.seed_shapes import INSTANT

WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_SHOWN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def example(text: str) -> Any:
    """Return an example from its text, as a document shows it: every instant in it is `INSTANT`."""
    return _instants(json.loads(text))


def _instants(value: Any) -> Any:
    if isinstance(value, list):
        return [_instants(each) for each in value]
    if isinstance(value, dict):
        return {name: _instants(each) for name, each in value.items()}
    return INSTANT if isinstance(value, str) and _SHOWN.fullmatch(value) else value


def check(value: Any, example: Any, where: str) -> None:
    """Hold a value that is set against its example, part by part."""
    match example:
        case bool():
            assert isinstance(value, bool), where
        case int() | float():
            assert isinstance(value, int | float), where
            assert not isinstance(value, bool), where
            assert isinstance(example, float) or where.endswith("_secs") or isinstance(value, int), where
        case str() if example == INSTANT:
            assert WRITTEN.fullmatch(value), where
        case str():
            assert isinstance(value, str), where
        case dict() if "property1" in example:
            assert all(isinstance(each, str) for each in value.values()), where
        case dict():
            assert isinstance(value, dict), where
            for name, inner in example.items():
                check(value[name], inner, f"{where}.{name}")


def fields(example: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field of an example with its path; of a list, of its first row."""
    if isinstance(example, list):
        yield from fields(example[0], f"{where}[]")
    elif isinstance(example, dict) and "property1" not in example:
        for name, inner in example.items():
            yield f"{where}.{name}", inner
            if isinstance(inner, dict | list) and inner:
                yield from fields(inner, f"{where}.{name}")


def reached(value: Any, path: str) -> list[Any]:
    """Return what stands at a path: of a list, in each row; a part that is null has nothing below it."""
    found = [value]
    for part in path.replace("[]", ".[]").strip(".").split("."):
        if part == "[]":
            found = [row for rows in found for row in rows]
        else:
            found = [each for each in found if each is not None]
            for each in found:
                assert part in each, f"{path} is not there"
            found = [each[part] for each in found]
    return found


def compare(value: Any, example: Any, told: set[str]) -> None:
    """Hold an answer against an example: each field is there, in each row, and of its type where it is set."""
    assert isinstance(value, type(example))
    for path, inner in fields(example):
        for each in reached(value, path):
            if isinstance(inner, list):
                assert isinstance(each, list), path
            elif each is not None:
                # What lies below has paths of its own.
                check(each, {} if isinstance(inner, dict) and "property1" not in inner else inner, path)
                told.add(path.rpartition(".")[2])
