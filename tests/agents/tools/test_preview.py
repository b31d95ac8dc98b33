"""What a model is shown of an output."""

from hypothesis import given
from hypothesis import strategies as st

from runwright.agents.tools.preview import Shown, rendered, shown


def test_text_is_shown_as_it_is_and_the_rest_as_json():
    assert rendered("a\n") == "a\n"
    assert rendered({"a": ["ä", None]}) == '{"a":["ä",null]}'


@given(st.text(max_size=100), st.integers(min_value=20, max_value=200))
def test_what_is_short_enough_is_shown_whole_and_of_the_rest_nothing_is_lost(text: str, most: int):
    text = text * 4
    found = shown(text, most)
    if len(text.encode()) <= most:
        assert found == Shown(text)
        return
    assert found.artifact == text.encode()
    head, _, rest = found.text.partition("\n[… ")
    left, _, tail = rest.partition(" bytes left out; the whole output is an artifact …]\n")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len((head + tail).encode()) + int(left) == len(text.encode())
    assert len((head + tail).encode()) <= most
