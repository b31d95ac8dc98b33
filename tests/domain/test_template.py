"""What the references of a template become."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.template import fill, look, references

PAYLOAD = {"n": 7, "list": [1, {"a": "b"}], "text": "x", "none": None}
KNOWN: dict[str, Any] = {"payload": PAYLOAD, "run": {"id": "run_1"}}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{payload.n}}", 7),
        (" {{ payload.list }} ", [1, {"a": "b"}]),
        ("{{payload.list.1.a}}", "b"),
        ("{{payload.list.9}}", None),
        ("{{payload.text.more}}", None),
        ("run {{run.id}}: {{payload.n}}, {{payload.list}}{{payload.none}}", 'run run_1: 7, [1,{"a":"b"}]'),
        ("no {reference} {{}} {{a b}}", "no {reference} {{}} {{a b}}"),
        ({"a": ["{{payload.n}}", 1, None, True]}, {"a": [7, 1, None, True]}),
    ],
)
def test_references_become_values(template: Any, filled: Any) -> None:
    assert fill(template, KNOWN) == filled


def test_what_a_value_says_is_no_template() -> None:
    assert fill("{{payload}}", {"payload": "{{payload}}"}) == "{{payload}}"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text("ab{} .", max_size=9), st.lists))
def test_a_template_without_references_stays_as_it_is(template: Any) -> None:
    if not list(references(template)):
        assert fill(template, KNOWN) == template


def test_references_are_found_wherever_they_stand() -> None:
    found = references({"a": ["{{steps.x.result}} and {{payload.y}}"], "b": 1})
    assert sorted(found) == ["payload.y", "steps.x.result"]
    assert look("payload", KNOWN) == KNOWN["payload"]
