"""Every event can be told in a sentence."""

import msgspec
import pytest

from runwright.domain.events import CATALOGUE
from runwright.domain.summaries import LONGEST, SENTENCES, _fields, summary


def test_every_type_has_a_sentence_over_fields_that_it_has():
    assert SENTENCES.keys() == CATALOGUE.keys()
    for name, entry in CATALOGUE.items():
        known = {field.encode_name for shape in entry.shapes for field in msgspec.structs.fields(shape)}
        assert {field for sentence in SENTENCES[name] for field in _fields[sentence]} <= known, name


@pytest.mark.parametrize(
    ("type_", "message", "data", "told"),
    [
        ("log", "12 of 40 pages", {}, "12 of 40 pages"),
        ("tool.call", "", {"tool_name": "shell"}, "the tool shell is called"),
        ("process.ended", "", {"exit_code": 0}, "the process ended with 0"),
        ("process.ended", "", {}, "the command never began"),
        ("message.delta", "", {"content": ""}, "a piece of a message"),
        ("message.delta", "", {"content": "x" * 300}, "x" * (LONGEST - 1) + "…"),
        ("run.progress", "", {"percent": 0.5, "message": "{nothing}"}, "0.5 %: {nothing}"),
        ("run.failed", "", None, "run.failed (its data were erased)"),
    ],
)
def test_the_fullest_sentence_is_told_whose_fields_are_there(type_, message, data, told):
    assert summary(type_, message, data) == told
