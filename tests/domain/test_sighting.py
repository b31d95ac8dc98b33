"""Where secrets stand: the same ones that redaction takes out, and nothing of the lines goes."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain.redaction import Redactor
from runwright.domain.sighting import masked

PIECES = st.sampled_from(
    [
        "ghp_" + "a1B2c3D4e5F6" * 3,
        "AKIAABCDEFGHIJKLMNOP",
        "password=hunter2hunter",
        'token: "ä-ö-ü-very-secret"',
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
        "postgres://user:pässword1@host/x",
        "known-välue",
        "välue-over",
        "Authorization: Bearer abcdefghijklmnop",
        "[redacted:token]",
        "plain wörds",
        "\n",
        " ",
        "=",
        '"',
        "\u202e",
        "😀",
    ]
)
REDACTOR = Redactor(["known-välue", "välue-over"])


@given(st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=200)
def test_what_is_seen_is_what_redaction_takes_out_and_every_line_stays(text: str):
    found = REDACTOR.sightings(text)
    assert all(0 <= each.start < each.end <= len(text) for each in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    shown = masked(text, found)
    assert shown.count("\n") == text.count("\n")
    assert shown.replace("\n", "") == REDACTOR.text(text).replace("\n", "")
