"""A log line is one line, of bounded size, and holds no secret, whatever somebody managed to put into it."""

import json
import logging
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.redaction import Redactor
from runwright.observability.lines import Lines

SECRET = "hunter2-the-secret"
MOST = 2048
FORMS = pytest.mark.parametrize("form", ["json", "text"])

texts = st.text(max_size=200) | st.sampled_from(
    [SECRET, f"x{SECRET}y", "a\nb", "\x1b[31m", "\u2028", "\ud800", "x" * 5000]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


def line(form: str, event: str = "a.thing", error: BaseException | None = None, **fields: Any) -> str:
    """Render one line as the formatter does."""
    record = logging.LogRecord("some.logger", logging.WARNING, "", 0, event, None, None)
    whole = {"_record": record, "_from_structlog": True, "timestamp": "2026-01-01T00:00:00Z", "event": event, **fields}
    if error is not None:
        whole["exception"] = str(error)
    return Lines(Redactor([SECRET]), form, MOST)(None, "", whole)


@given(event=texts, fields=st.dictionaries(st.sampled_from(["a", "detail", "run_id", "password"]), values))
def test_a_line_of_json_is_one_valid_line_without_secrets_whatever_it_is_made_of(event: str, fields: dict[str, Any]):
    shown = line("json", event, **fields)
    read = json.loads(shown)
    assert (read["level"], read["logger"]) == ("warning", "some.logger")
    assert len(shown.splitlines()) == 1
    assert SECRET not in shown
    assert len(shown.encode()) <= MOST


@given(event=texts, fields=st.dictionaries(st.sampled_from(["a", "detail", "run_id", "password"]), values))
def test_a_line_for_people_is_one_line_of_printable_text_without_secrets(event: str, fields: dict[str, Any]):
    shown = line("text", event, **fields)
    assert len(shown.splitlines()) == 1
    assert {unicodedata.category(character) for character in shown}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert SECRET not in shown
    assert len(shown.encode()) <= MOST


@FORMS
def test_nobody_can_forge_a_line_with_a_line_break(form: str):
    forged = "ok\n2026-01-01T00:00:00Z [info] forged\r\nand more"
    for shown in (line(form, forged), line(form, detail=forged), line(form, detail={"deep": [forged]})):
        assert len(shown.splitlines()) == 1


def test_what_an_exception_says_is_indented_so_that_it_is_no_line_of_its_own():
    shown = line("text", error=ValueError("bad\n2026-01-01T00:00:00Z [info] forged"))
    assert shown.splitlines()[1:] == ["    bad", "    2026-01-01T00:00:00Z [info] forged"]


def test_of_a_long_exception_the_end_is_shown():
    shown = json.loads(line("json", error=ValueError("x" * 5000 + " and this is why")))
    assert shown["exception"].startswith("…")
    assert shown["exception"].endswith("and this is why")


def test_a_line_of_many_long_values_keeps_what_tells_whose_it_is():
    many: dict[str, Any] = {f"field_{n}": "x" * 400 for n in range(20)}
    shown = json.loads(line("json", run_id="run_1", **many))
    assert (shown["event"], shown["run_id"]) == ("a.thing", "run_1")
    assert shown["cut"] == "the line was too long"


def test_a_value_under_the_name_of_a_secret_is_taken_out():
    assert json.loads(line("json", detail={"password": "correct horse"}))["detail"] == {
        "password": "[redacted:password]"
    }


def test_numbers_stay_numbers():
    read = json.loads(line("json", n=3, x=0.5, yes=True, none=None, huge=sys.maxsize * 100))
    assert (read["n"], read["x"], read["yes"], read["none"]) == (3, 0.5, True, None)
    assert read["huge"] == str(sys.maxsize * 100)
