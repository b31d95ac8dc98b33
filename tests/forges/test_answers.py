"""What a forge answers is read however odd it is: it is refused by its meaning, and nothing of ours breaks."""

from __future__ import annotations

import pytest

from runwright.clock import FrozenClock
from runwright.forges.answers import LIMITED_S, Answer, refusal
from runwright.forges.port import Refused

DEEP = b"[" * 5_000 + b"]" * 5_000


@pytest.mark.parametrize("told", ["\u00b2", "9" * 5_000, "-1", "1.5", ""])
@pytest.mark.parametrize("name", ["retry-after", "x-ratelimit-reset"])
def test_a_time_to_wait_that_is_no_number_is_none(name: str, told: str):
    answer = Answer(429, {name: told, "x-ratelimit-remaining": "0"}, b"")
    assert refusal(answer, "it failed", FrozenClock().now()).retry_after_s == LIMITED_S


@pytest.mark.parametrize(
    "body",
    [b'{"message":' + DEEP + b"}", b'{"message":' + b"[" * 450 + b"]" * 450 + b"}", b'{"message":"\xff"}', b"<p>\xff"],
    ids=["too deep to read", "too deep to tell", "no text", "no JSON"],
)
def test_what_cannot_be_read_says_nothing(body: bytes):
    assert str(refusal(Answer(422, {}, body), "it failed", 0)) == "it failed: the forge answers 422"


@pytest.mark.parametrize("body", [DEEP, b'"\xff"', b"<p>"], ids=["too deep", "no text", "no JSON"])
def test_an_answer_that_is_no_json_is_refused(body: bytes):
    with pytest.raises(Refused, match="something else than JSON"):
        Answer(200, {}, body).json()
