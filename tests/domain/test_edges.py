"""A secret that was cut in two is in no two pieces, wherever it was cut."""

from hypothesis import assume, given
from hypothesis import strategies as st

from runwright.domain.redaction import Redactor

SECRETS = ("hunter2-the-secret", "Grüße-an-alle-Füchse", "s3cr3t!", "x" * 400, "AbC/dEf+GhI==")
REDACTORS = {secret: Redactor([secret]) for secret in SECRETS}
ALL = Redactor(SECRETS)
SECRET = st.sampled_from(SECRETS)
AROUND = st.text(st.characters(codec="utf-8"), max_size=30)
BLANKS = st.text(" \n\t", max_size=3)


@given(secret=SECRET, data=st.data(), before=AROUND, after=AROUND, end=BLANKS, begin=BLANKS)
def test_of_two_pieces_that_make_a_secret_one_has_lost_its_part(secret, data, before, after, end, begin):
    at = data.draw(st.integers(1, len(secret) - 1) | st.just(len(secret) // 2))
    first, second = ALL.excerpt(before + secret[:at] + end), ALL.excerpt(begin + secret[at:] + after)
    assume(secret not in before + after)
    assert secret not in first.rstrip() + second.lstrip()
    assert "[redacted:known]" in first + second


@given(secret=SECRET, data=st.data(), before=AROUND)
def test_a_stream_that_is_cut_off_within_a_secret_says_what_the_whole_text_does(secret, data, before):
    redactor = REDACTORS[secret]
    text = before + secret[: data.draw(st.integers(1, len(secret) - 1))]
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    stream = redactor.stream()
    shown = "".join(stream.feed(text[a:b]) for a, b in zip([0, *places], [*places, len(text)], strict=True))
    assert shown + redactor.cut_off(stream.close()) == redactor.opening(text)


@given(text=AROUND)
def test_text_without_a_part_of_a_secret_is_left_as_it_is(text):
    assume(not any(part in text for secret in SECRETS for part in (secret[:4], secret[-4:], "=" * 2)))
    plain = Redactor().text(text)
    assert ALL.excerpt(text) == ALL.opening(text) == plain


@given(secret=SECRET, before=AROUND, after=AROUND)
def test_what_was_cleaned_is_not_cleaned_again(secret, before, after):
    once = ALL.excerpt(secret[3:] + before + secret + after + secret[:-3])
    assert ALL.excerpt(once) == once


def test_less_than_half_of_a_secret_may_be_there_by_chance_and_stays():
    redactor = REDACTORS["hunter2-the-secret"]
    assert redactor.excerpt("I saw a hunter2") == "I saw a hunter2"
    assert redactor.excerpt("I saw a hunter2-t") == "I saw a [redacted:known]"
    assert redactor.excerpt("he-secret, no less") == "[redacted:known], no less"
    assert redactor.excerpt("e-secret, no less") == "e-secret, no less"
    assert Redactor().excerpt("anything") == "anything"
