"""Draw values that a JSON Schema of the document lets through, most of the time at an edge of what it lets through."""

import re
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

INSTANTS = st.sampled_from(
    ["2026-01-01T00:00:00Z", "2026-12-31T23:59:59.999999+14:00", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59",
     "9999-12-31T23:59:59-23:59", "2030-02-29T00:00:00Z"]
)  # fmt: skip
ODD_TEXTS = st.sampled_from(
    ["", " ", "0", "-1", "null", "true", "NaN", "1e400", "9" * 30, "a" * 300, "ü☃", "\ud7ff", "\U0001f600", "../..",
     "a/b", "%00", ":cancel", "{}", "[]", '{"a": {}}', "run_" + "0" * 32, "default", "[redacted:known]",
     "password=hunter2hunter2"]
)  # fmt: skip
TEXTS = ODD_TEXTS | INSTANTS | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def values(schema: Json, components: Json) -> st.SearchStrategy[Any]:
    """Return the values of a schema, as far as a few lines can tell them."""
    if "$ref" in schema:
        return values(components["schemas"][schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return st.one_of([values(each, components) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", 0), schema.get("maximum", 10**6))
        case "number":
            return st.floats(schema.get("minimum", 0), schema.get("maximum", 10**6), allow_nan=False)
        case "string":
            return _text(schema)
        case "array":
            inner = values(schema.get("items", {}), components)
            return st.lists(inner, min_size=schema.get("minItems", 0), max_size=schema.get("minItems", 0) + 2)
        case "object" if "properties" in schema:
            return objects(schema, components)
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return st.dictionaries(TEXTS, values(schema["additionalProperties"], components), max_size=2)
        case "object":
            return st.dictionaries(TEXTS, JSON, max_size=3)
    return JSON


def objects(schema: Json, components: Json) -> st.SearchStrategy[Json]:
    """Return objects with the required properties and a few of the others."""
    if "$ref" in schema:
        return objects(components["schemas"][schema["$ref"].rpartition("/")[2]], components)
    fields = {name: values(each, components) for name, each in schema["properties"].items()}
    required = {name: fields[name] for name in schema.get("required", ())}
    others = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True) if fields else st.just([])
    return others.flatmap(lambda names: st.fixed_dictionaries({**required, **{name: fields[name] for name in names}}))


def _text(schema: Json) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return INSTANTS
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"]), fullmatch=True)
    low, high = schema.get("minLength", 0), schema.get("maxLength", 300)
    return TEXTS.filter(lambda text: low <= len(text) <= high) | st.just("x" * high)
