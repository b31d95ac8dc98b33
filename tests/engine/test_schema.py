"""Outputs are validated against the schema that came with them, and nothing is fetched for it."""

from typing import Any

import pytest

from runwright.domain.json_schema import PROBLEMS_MAX
from runwright.engine.schema import require_valid
from runwright.errors import InvalidRequest

TOTALS = {"type": "object", "required": ["files"], "properties": {"files": {"type": "integer", "minimum": 0}}}


def test_a_value_that_is_what_its_schema_says_passes():
    require_valid({"files": 3}, TOTALS)


@pytest.mark.parametrize(
    ("value", "path"), [({}, "value"), ({"files": "three"}, "value.files"), ({"files": -1}, "value.files")]
)
def test_a_value_that_is_not_is_refused_with_the_place(value: Any, path: str):
    with pytest.raises(InvalidRequest) as refused:
        require_valid(value, TOTALS)
    assert refused.value.code == "output.schema_mismatch"
    assert [field.path for field in refused.value.fields] == [path]


def test_a_refusal_names_a_bounded_number_of_places():
    with pytest.raises(InvalidRequest) as refused:
        require_valid(["x"] * 1000, {"items": {"type": "integer"}})
    assert len(refused.value.fields) == PROBLEMS_MAX


@pytest.mark.parametrize(
    "schema",
    [{"type": "nope"}, {"$ref": "http://127.0.0.1:1/schema"}, {"$ref": "file:///etc/passwd"}, {"$ref": "#/no"}, 7],
)
def test_a_schema_that_is_none_or_lies_elsewhere_is_refused(schema: Any):
    with pytest.raises(InvalidRequest) as refused:
        require_valid({}, schema)
    assert refused.value.code == "output.schema_invalid"
