import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.errors import InvalidRequest
from runwright.executors.answers import EXCERPT_BYTES, excerpt, is_retryable, result_of, retry_after_s

NOON = 1_800_000_000_000_000  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(status):
    assert is_retryable(status, ())


@pytest.mark.parametrize("status", [100, 301, 302, 307, 400, 401, 403, 404, 410, 413, 422, 600, 999])
def test_what_will_not_pass_is_not(status):
    assert not is_retryable(status, ())


def test_a_jobs_own_list_replaces_the_usual_one():
    assert is_retryable(404, (404, 503))
    assert is_retryable(503, (404, 503))
    assert not is_retryable(500, (404, 503))


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b' {"a": 1}\r\n', {"a": 1}),
        (b"[1, 2]", [1, 2]),
        (b'"x"', "x"),
        (b"0", 0),
        (b"false", False),
        (b"null", None),
        (b"", None),
        (b" \r\n\t", None),
        (b"OK", {"text": "OK"}),
        (b"{", {"text": "{"}),
        (b"{'a': 1}", {"text": "{'a': 1}"}),
        (b"NaN", {"text": "NaN"}),
        (b'"\xff"', {"text": '"\ufffd"'}),
        ("grüß".encode(), {"text": "grüß"}),
        (b"<html></html>", {"text": "<html></html>"}),
    ],
)
def test_a_body_is_a_result(body, result):
    assert result_of(body) == result


def test_json_without_a_bottom_is_refused():
    with pytest.raises(InvalidRequest, match="too deeply"):
        result_of(b"[" * 1_000_000)


@given(st.binary())
def test_every_body_is_some_result(body):
    result_of(body)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("9" * 18, 366 * 86_400),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60),
        ("Fri Jan 15 08:00:05 2027", 5),
        ("Fri, 15 Jan 9999 08:00:30 GMT", 366 * 86_400),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("١٢", None),
        ("9" * 5000, None),
        ("Fri, 99 Jan 2027 99:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after_s(text, NOON) == seconds


@given(st.text() | st.from_regex(r"[A-Za-z0-9 :,+-]{0,40}"))
def test_any_retry_after_is_answered(text):
    waited = retry_after_s(text, NOON)
    assert waited is None or 0 <= waited <= 366 * 86_400


def test_an_excerpt_is_one_short_line_without_the_secret():
    assert excerpt(b" no\n\tsuch  \x00thing ") == "no such thing"
    assert len(excerpt(b"x" * 5000).encode()) == EXCERPT_BYTES
    assert len(excerpt("ü".encode() * 5000).encode()) <= EXCERPT_BYTES
    assert excerpt(b"you sent rwt_1 as rwt_1", "rwt_1") == "you sent [redacted] as [redacted]"
    assert excerpt(b"x" * 1022 + b"rwt_12345", "rwt_12345").endswith("x[r")
