"""What counts as JSON, and what is refused rather than changed."""

import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.client.errors import NotJson
from runwright.client.json_values import json_copy, lenient_copy

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
STRANGE = st.binary() | st.just(math.inf) | st.dates() | st.frozensets(st.integers()) | st.just("\ud800")


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner),
        max_leaves=20,
    )


def plain(value: Any) -> Any:
    """Return the value with lists for its tuples."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


@settings(deadline=None, max_examples=60)
@given(nested(LEAVES, TEXT))
def test_json_comes_back_as_it_was_with_lists_for_tuples(value: Any):
    copy = json_copy(value)
    assert copy == plain(value)
    assert json_copy(copy) == copy


@settings(deadline=None, max_examples=60)
@given(nested(LEAVES | STRANGE, TEXT | st.integers()))
def test_nothing_changes_silently(value: Any):
    try:
        copy = json_copy(value)
    except NotJson as refused:
        assert str(refused).startswith("$")  # noqa: PT017
    else:
        assert copy == plain(value)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(TEXT, nested(LEAVES | STRANGE, TEXT | st.integers())))
def test_records_take_anything(data: Any):
    copy = lenient_copy(data)
    assert json_copy(copy) == copy
    assert set(copy) == set(data)


class Point(msgspec.Struct):
    x: int
    when: Any = None


@dataclass
class Line:
    points: list[Point]


def test_structs_and_dataclasses_become_objects():
    assert json_copy(Line([Point(1)])) == {"points": [{"x": 1, "when": None}]}
    with pytest.raises(NotJson, match=r"\$\.points\[0\]\.when is datetime\.date"):
        json_copy(Line([Point(1, date(2026, 1, 1))]))


def test_a_class_is_not_its_fields():
    with pytest.raises(NotJson):
        json_copy(Point)


def test_what_contains_itself_is_refused_and_a_record_of_it_is_cut():
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    with pytest.raises(NotJson, match="contains itself"):
        json_copy(ring)
    assert "…" in str(lenient_copy(ring))
