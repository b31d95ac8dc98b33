"""JSON Schemas of strangers: whole, and bounded in what they may cost; nothing of a value is in what they say."""

import time
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.json_schema import BadSchema, JsonSchema
from runwright.domain.schema_cost import COST_MAX, DEPTH_MAX, costs

Schema = dict[str, Any]


def doubling(levels: int) -> Schema:
    """Return a schema of a few lines that asks two to the power of `levels` questions."""
    twice = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**twice, f"a{levels}": {"type": "object"}}}


def nested(levels: int, leaf: Any = 1) -> Any:
    for _ in range(levels):
        leaf = {"a": leaf}
    return leaf


def problems(schema: Schema, value: Any, size: int = 100) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in JsonSchema(schema).problems(value, "payload", size)]


def test_every_keyword_counts_and_each_problem_has_its_place():
    schema: Schema = {
        "required": ["y"],
        "properties": {
            "files": {"items": {"enum": ["a"]}},
            "at": {"format": "date-time"},
            "n": {"multipleOf": 5},
            "unit": {},
            "y": {},
        },
        "if": {"required": ["n"]},
        "then": {"required": ["unit"]},
        "unevaluatedProperties": False,
    }
    found = problems(schema, {"files": ["a", "secret"], "at": "yesterday", "n": 7, "more": 1})
    assert {path for path, _ in found} == {"payload", "payload.files[1]", "payload.at", "payload.n"}
    assert "secret" not in str(found)
    assert "yesterday" not in str(found)
    assert problems(schema, {"files": ["a"], "at": "2026-11-22T09:00:00Z", "n": 10, "unit": "kg", "y": None}) == []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": {"x": {"type": "strng"}}}, "properties.x.type"),
        ({"properties": {"x": {"pattern": "("}}}, "properties.x.pattern"),
        ({"pattern": "(?=a)b"}, "pattern"),
        ({"pattern": "(a{1000}){1000}"}, "pattern"),
        ({"items": {"$ref": "https://127.0.0.1:1/s"}}, "items.$ref"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "items.$ref"),
        ({"items": {"$ref": "#/$defs/no"}}, "items.$ref"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema"),
        (doubling(40), ""),
        ({"items": {"allOf": [{}] * COST_MAX}}, ""),
    ],
)
def test_a_schema_that_is_none_lies_elsewhere_or_costs_too_much_is_refused_with_the_place(schema: Schema, path: str):
    with pytest.raises(BadSchema) as refused:
        JsonSchema(schema)
    assert refused.value.path == path


def test_references_are_followed_by_pointer_anchor_and_id():
    schema = {
        "$id": "https://example.com/order",
        "$defs": {
            "by/pointer": {"type": "integer"},
            "b": {"$anchor": "named", "type": "string"},
            "c": {"$id": "https://example.com/other", "type": "boolean"},
        },
        "properties": {
            "p": {"$ref": "#/$defs/by~1pointer"},
            "a": {"$ref": "#named"},
            "i": {"$ref": "other"},
            "s": {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        },
    }
    assert problems(schema, {"p": 1, "a": "x", "i": True, "s": {"type": "string"}}) == []
    wrong = problems(schema, {"p": "x", "a": 1, "i": 1, "s": {"type": "strng"}})
    assert {path for path, _ in wrong} == {"payload.p", "payload.a", "payload.i", "payload.s.type"}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"allOf": [{"$ref": "#"}] * 2}, "z": {"type": "integer"}}},
        {"$dynamicAnchor": "n", "properties": {"a": {"allOf": [{"$dynamicRef": "#n"}] * 2}}},
        {"patternProperties": {"^a": {"$ref": "#"}, "a$": {"$ref": "#"}}},
        {"oneOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}, {"type": "integer"}]},
        {"unevaluatedProperties": False, "properties": {"a": {"$ref": "#"}}, "allOf": [{"properties": {"a": True}}]},
    ],
)
def test_a_schema_that_doubles_with_each_level_is_asked_no_more_than_it_may_cost(schema: Schema):
    judge = JsonSchema(schema)
    judge.problems(nested(3), "payload", 30)
    [deep] = judge.problems(nested(60, {"z": "bad"}), "payload", 400)
    assert deep.path == "payload"
    assert "levels" in deep.message


def test_a_schema_of_trees_takes_trees_of_any_size():
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "additionalProperties": {"type": "integer"}}
    value: Any = {"n": 1}
    for _ in range(90):
        value = {"left": value, "right": {"n": 2}}
    assert problems(tree, value, 1 << 20) == []
    anything = {"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}]}
    assert problems(anything, value, 1 << 20) == []


def test_the_largest_value_is_judged_by_an_ordinary_schema():
    rows = [{"id": n, "name": "x", "tags": ["a"]} for n in range(20_000)]
    row = {"properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "tags": {"items": {"enum": ["a"]}}}}
    assert problems({"properties": {"rows": {"items": row}}}, {"rows": rows}, 1 << 20) == []
    assert len(problems({"items": {"type": "string"}}, [1] * 1000, 3000)) == 10


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Draw schemas of a few definitions that refer to each other in every way."""
    names = [f"d{n}" for n in range(draw(st.integers(1, 4)))]
    reference = st.sampled_from([{"$ref": f"#/$defs/{name}"} for name in names])
    leaf = st.sampled_from([{"type": "integer"}, {"type": "object"}, True]) | reference
    inner = st.recursive(
        leaf,
        lambda deeper: st.one_of(
            st.fixed_dictionaries({"allOf": st.lists(deeper, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"oneOf": st.lists(deeper, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"properties": st.fixed_dictionaries({"a": deeper})}),
            st.fixed_dictionaries({"patternProperties": st.fixed_dictionaries({"a": deeper})}),
            st.fixed_dictionaries({"items": deeper, "unevaluatedProperties": deeper}),
        ),
        max_leaves=6,
    )
    return {"$defs": {name: draw(inner) for name in names}, "allOf": [draw(inner)]}


@settings(max_examples=150, deadline=None)
@given(schemas(), st.integers(0, 80))
def test_what_is_judged_is_judged_in_bounded_time_and_as_the_library_says(schema: Schema, levels: int):
    try:
        judge = JsonSchema(schema)
    except BadSchema:
        return
    value = nested(levels, "leaf")
    begun = time.process_time()
    found = judge.problems(value, "payload", 8 * levels + 8)
    assert time.process_time() - begun < 20, "a schema of strangers held the server up"
    if levels < 4:
        assert (found == []) == jsonschema_rs.Draft202012Validator(schema).is_valid(value)


def test_what_a_schema_may_ask_is_counted_by_the_levels_of_the_value():
    assert costs({"properties": {"a": {}, "b": {}}}) == [1, 1]
    assert costs({"allOf": [{}, {}, True]})[-1] == 4
    assert costs({"properties": {"a": {"allOf": [{"$ref": "#"}] * 2}}})[:4] == [1, 5, 10, 20]
    deep: Schema = {}
    for _ in range(DEPTH_MAX + 1):
        deep = {"not": deep}
    with pytest.raises(BadSchema):
        JsonSchema(deep)
