"""Errands as they are stored, and read by any server."""

from runwright.domain.errands import ERRANDS, errand, read


def test_an_errand_is_read_as_it_was_left():
    assert read(errand("cancel_children", {"a": [1, "b c"]})) == ("cancel_children", b'{"a":[1,"b c"]}')


def test_an_errand_without_a_body_says_null():
    assert read(errand("cancel_children")) == ("cancel_children", b"null")


def test_the_name_of_an_errand_has_no_space():
    assert [kind for kind in ERRANDS if " " in kind] == []
