import base64
import json
import os
from itertools import pairwise
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runwright.domain.patterns import PATTERNS
from runwright.domain.redaction import Redactor, compose
from runwright.domain.scan import Undecided
from runwright.domain.spellings import spellings

PEM = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0AF1\n\n" + "MIIEpAIB+/=\n" * 8
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N-XgL0n3I9PlFUP0THsR8U"
W = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5bC7d"

# (kind, a text around the secret, the secret): the secret must go, the text stays.
SECRETS = [
    ("runwright_key", "key {} made", "rw_live_" + W),
    ("signing_secret", "verify it by {}!", "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" + W),
    ("ticket", "GET /v1/runs?ticket={} HTTP", "rwticket_" + W),
    ("run_token", "call back with {}.", "rwt_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b_3_" + W),
    ("openai_key", "key {} made", "sk-proj-" + W),
    ("openai_key", "key {} made", "sk-" + W),
    ("anthropic_key", "key {} made", "sk-ant-api03-" + W),
    ("github_token", "clone with {}.", "ghp_" + W),
    ("github_token", "clone with {}.", "gho_" + W),
    ("github_token", "clone with {}.", "ghs_" + W),
    ("github_token", "clone with {}.", "ghu_" + W),
    ("github_token", "clone with {}.", "github_pat_11ABC_" + W),
    ("gitlab_token", "clone with {} now", "glpat-" + W[:20]),
    ("slack_token", "post with {}.", "xoxb-123456789012-" + W),
    ("slack_token", "post with {}.", "xoxp-123456789012-" + W),
    ("slack_webhook", "hook https://hooks.slack.com/services/{} ok", "T000000/B000000/" + W),
    ("aws_key_id", "id {} of", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_key_id", "id {} of", "ASIAIOSFODNN7EXAMPLE"),
    ("google_key", "maps {} key", "AIza" + W[:35]),
    ("stripe_key", "pay {}.", "sk_live_" + W),
    ("stripe_key", "pay {}.", "rk_live_" + W),
    ("npm_token", "publish {}.", "npm_" + W[:36]),
    ("pypi_token", "publish {}.", "pypi-" + W + W),
    ("jwt", "the cookie {} came", JWT),
    ("private_key", "file: {}-----END RSA PRIVATE KEY-----\nend", PEM),
    ("url_password", "dsn postgresql://{}@db:5432/app?x=1", "app:hu%40nter2"),
    ("url_password", "git https://{}@github.com/a/b", "x-access:" + W),
    ("authorization", "curl -H 'Authorization: Bearer {}' -v", W),
    ("authorization", "> authorization: Basic {}\r\n", "YWxhZGRpbjpvcGVuc2VzYW1l"),
    ("authorization", "got AUTHORIZATION: BEARER {}\n", "x.y.z"),
    ("authorization", "sent Bearer {} to", W),
    ("authorization", "X: {{'Authorization': 'token {}'}}", "abc"),
    ("password", "export PASSWORD={} done", "hunter2"),
    ("password", "mysql --password={} -u x", "h"),
    ("password", "dsn host=x password={};user=y", "hun\\dger2"),
    ("password", '{{"password": "{}", "n": 1}}', "two words, and a \\\" quote"),
    ("password", '{{"db_password":"{}"}}', "x"),
    ("password", "{{'passwd': '{}', 'n': 1}}", "it\\'s a secret"),
    ("password", r'{{\"password\": \"{}\", \"n\": 1}}', "two words"),
    ("password", "password: {}\nuser: x", "hunter2"),
    ("secret", "CLIENT_SECRET={}&x=1", "abc"),
    ("secret", 'clientSecret := "{}"', "abc def"),
    ("token", "GITHUB_TOKEN={} make", "abc"),
    ("token", "accessToken => '{}',", "a b"),
    ("api_key", "api_key={}", "abc"),
    ("api_key", "API-KEY: {}", "abcdef"),
    ("api_key", 'apiKey="{}"', "abc"),
    ("api_key", "X-Api-Key: {} ", "abcdef"),
    ("access_key", "aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("access_key", '"SecretAccessKey": "{}"', "wJalrXUtnFEMI/K7MDENG"),
]  # fmt: skip

HARMLESS = [
    "", "hello", "the task-import-customers-from-the-old-server is done", "broken: something else", "total_tokens: 5",
    "next_page_token=abcdef nextPageToken: abcdef", '{"nextPageToken": "CAUQAA", "continuation_token":"x"}',
    "http://localhost:8080/v1/runs?x=a@b", "https://example.org/a:b@c", "mail me: a@b.org", "passwords are hard",
    "password:", "password=", 'password: "', '"token": 5', "token = $TOKEN", "secret: no", "eyJ is base64 of a brace",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "AKIA", "sk-", "disk-space-is-low-on-the-machine",
    "Bearer of bad news", "an Authorization: is due", "run_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b", "rw_short",
    "[redacted:password]", "[redacted:", "é ü 漢字 🙂 \x00 \x7f",
]  # fmt: skip

KNOWN = [
    "hunter2!",
    'quote"back\\slash\n',
    "a passphrase, with words",
    "p@ss/w%rd+é",
    "20261121",
    "漢字🙂秘密",
    "abcabcabd",
]


def cut(text, places):
    edges = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


def streamed(redactor, chunks):
    stream = redactor.stream()
    return "".join([stream.feed(chunk) for chunk in chunks] + [stream.close()])


def handed_on(redactor, chunks):
    """Give each chunk to a stream that knows of the others only what was written down."""
    stream, out = redactor.stream(), []
    for chunk in chunks:
        out.append(stream.feed(chunk))
        stream = redactor.stream(msgspec.json.decode(msgspec.json.encode(stream.undecided), type=Undecided))
    return "".join(out) + stream.close()


@pytest.mark.parametrize(("kind", "around", "secret"), SECRETS)
def test_a_pattern_takes_its_secret_and_leaves_the_text(kind, around, secret):
    assert Redactor().text(around.format(secret)) == around.format(f"[redacted:{kind}]")


@pytest.mark.parametrize(("kind", "around", "secret"), SECRETS)
def test_a_secret_is_found_wherever_the_stream_is_cut(kind, around, secret):
    text, redactor = around.format(secret), Redactor()
    whole = redactor.text(text)
    assert streamed(redactor, list(text)) == whole
    for place in range(1, len(text)):
        assert streamed(redactor, [text[:place], text[place:]]) == whole
        assert handed_on(redactor, [text[:place], text[place:]]) == whole


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_comes_through_unchanged(text):
    redactor = Redactor(KNOWN)
    assert redactor.text(text) == text
    assert streamed(redactor, list(text)) == text
    assert json.loads(redactor.data({"text": [text]})) == {"text": [text]}


@pytest.mark.parametrize("value", KNOWN)
def test_a_known_value_goes_in_every_spelling(value):
    redactor = Redactor(KNOWN)
    for spelling in (
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value, safe=""),
    ):
        assert redactor.text(f"<{spelling}>") == "<[redacted:known]>"


@pytest.mark.parametrize("lead", range(4))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_known_value_goes_within_base64_at_every_alignment(lead, encode):
    value = "a passphrase, with words"
    text = encode(b"x" * lead + value.encode() + b"tail").decode()
    shown = Redactor([value]).text(text)
    assert "[redacted:known]" in shown
    assert len(shown.replace("[redacted:known]", "")) <= len(text) - len(value)


def test_a_basic_authorization_hides_the_known_password():
    credentials = base64.b64encode(b"admin:hunter2!hunter2!").decode()
    assert "[redacted:known]" in Redactor(["hunter2!hunter2!"]).text(f"sent {credentials}")


def test_known_values_that_overlap_go_as_one():
    redactor = Redactor(["abcdef", "defghi", "efgh"])
    assert redactor.text("-abcdefghi-abcdef-") == "-[redacted:known]-[redacted:known]-"


def test_the_longer_of_two_known_values_goes():
    redactor = Redactor(["abcd", "abcdefgh"])
    for text, shown in (("abcdefgh", ""), ("abcdefg!", "efg!"), ("abcd", "")):
        assert redactor.text(text) == "[redacted:known]" + shown
        assert streamed(redactor, list(text)) == "[redacted:known]" + shown


def test_a_known_value_that_outlasts_a_pattern_goes_to_its_end():
    redactor = Redactor(["one two, three"])
    assert redactor.text("password=one two, three four") == "password=[redacted:password] four"


def test_a_known_value_shorter_than_four_characters_is_left():
    assert Redactor(["abc", ""]).text("abc") == "abc"


def test_a_very_long_known_value_goes_whole():
    value = "".join(f"{n:05d}é" for n in range(2000))
    redactor = Redactor([value])
    for text in (value, json.dumps(value), base64.b64encode(value.encode()).decode()):
        shown = redactor.text(f"<{text}>")
        assert set(shown.replace("[redacted:known]", "")) <= set('<">=')
        assert streamed(redactor, cut(f"<{text}>", range(0, len(text), 700))) == shown
    assert max(map(len, spellings([value]))) <= 1280


# --- properties over any text, with secrets planted anywhere ---

OFTEN = settings(max_examples=int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0")) or 120)
"""New cases each time; many more in the soak."""

FRAGMENTS = st.sampled_from(
    ["password", "=", ":", " ", '"', "'", "\\", "sk-", "eyJ", ".", "://", "@", "-----BEGIN ", "PRIVATE KEY-----",
     "token", "Bearer ", "authorization: ", "[redacted:", "known]", "[redacted:token]", "abc", "A1", "\n", "é", "ghp_",
     "-", "/",
     "page_token", "hunter2", "passphrase, ", "\\n", "xoxb-", "api_key", "abcabc", "abd", W]
)  # fmt: skip
TEXTS = st.text(max_size=20) | st.lists(FRAGMENTS, max_size=12).map("".join)
PLANTED = st.sampled_from([around.format(secret) for _, around, secret in SECRETS] + KNOWN)
MIXED = st.lists(TEXTS | PLANTED, max_size=8).map("".join)
REDACTORS = {known: Redactor(known) for known in ((), tuple(KNOWN), ("abcabc", "known", "password", "token=", "/:@."))}
SOME_REDACTOR = st.sampled_from(list(REDACTORS.values()))


@OFTEN
@given(SOME_REDACTOR, MIXED, st.lists(st.integers(min_value=0, max_value=10**6), max_size=30))
def test_a_stream_cut_anywhere_is_the_redaction_of_the_whole(redactor, text, places):
    assert streamed(redactor, cut(text, places)) == redactor.text(text)
    assert handed_on(redactor, cut(text, places)) == redactor.text(text)


@OFTEN
@given(SOME_REDACTOR, MIXED)
def test_a_stream_of_single_characters_is_the_redaction_of_the_whole(redactor, text):
    assert streamed(redactor, list(text)) == redactor.text(text)


@OFTEN
@given(SOME_REDACTOR, MIXED)
def test_redacting_twice_changes_nothing(redactor, text):
    once = redactor.text(text)
    assert redactor.text(once) == once


@OFTEN
@given(st.lists(TEXTS | st.sampled_from(KNOWN), max_size=8).map("".join), st.sampled_from(KNOWN), TEXTS)
def test_no_known_value_survives_in_any_surroundings(before, value, after):
    shown = REDACTORS[tuple(KNOWN)].text(before + value + after)
    assert not [known for known in KNOWN if known in shown]


@OFTEN
@given(MIXED, st.sampled_from(SECRETS), MIXED)
def test_no_planted_secret_survives_between_other_texts(before, row, after):
    _, around, secret = row
    assume(len(secret) > 5 and secret not in before + after)
    shown = Redactor().text(f"{before}\n {around.format(secret)} \n{after}")
    assert secret not in shown


@OFTEN
@given(st.text(st.characters(exclude_characters="=:@-_", exclude_categories=["Cs"])))
def test_text_without_secrets_is_left_as_it_is(text):
    assume("eyJ" not in text and "earer" not in text.lower() and "redacted" not in text)
    assert Redactor().text(text) == text


@pytest.mark.parametrize("filler", ["a", "A", "é", ".", "\\", "abcabc", ":", "a passphrase, with word"])
@pytest.mark.parametrize("start", [*sorted({around.format(secret)[:-1] for _, around, secret in SECRETS}), "", "://"])
def test_a_stream_holds_back_no_more_than_four_kibibytes(start, filler):
    stream = Redactor(["x" * 3000 + "y", *KNOWN]).stream()
    for chunk in (start, *[filler * 300] * 30):
        stream.feed(chunk)
        assert len(stream._text) <= 4096


def test_a_stream_lets_harmless_text_pass_at_once():
    stream = Redactor(KNOWN).stream()
    assert stream.feed("Reading 12 files, ") == "Reading 12 files, "
    assert stream.feed("all a pass") == "all "  # may become a passphrase
    assert stream.feed(" is given.") == "a pass is given."


def test_the_marker_of_an_endless_secret_is_out_before_its_end():
    stream = Redactor().stream()
    assert stream.feed("key ghp_" + "a" * 5000) == "key [redacted:github_token]"
    assert stream.feed("b" * 5000) == ""
    assert stream.feed(" done ...........") == " done ..........."


def test_a_closed_stream_is_ready_for_another_text():
    stream = Redactor().stream()
    assert stream.feed("password=hunter2") + stream.close() == "password=[redacted:password]"
    assert stream.feed("hello") + stream.close() == "hello"


@given(st.text(st.characters(categories=["Cs", "L", "N"]), max_size=50))
def test_lone_surrogates_are_replaced_and_break_nothing(text):
    redactor = Redactor(["s\ud800cret"])
    for tail in ("", "\udfff password=\ud800x"):
        whole = redactor.text(text + tail)
        assert whole == streamed(redactor, list(text + tail))
        assert whole.encode().count("\ufffd".encode()) >= len([one for one in text if "\ud800" <= one <= "\udfff"])
    assert redactor.text("s\ud800cret") == "[redacted:known]"


# --- JSON ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | MIXED,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MIXED | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from strings(item)


@OFTEN
@given(SOME_REDACTOR, JSON)
def test_the_cheap_look_at_json_misses_nothing_that_the_precise_one_finds(redactor, value):
    walked = redactor._walk(msgspec.json.decode(msgspec.json.encode(value)))
    assert redactor.data(value) == msgspec.json.encode(walked)


@OFTEN
@given(SOME_REDACTOR, JSON)
def test_every_string_of_redacted_json_is_redacted(redactor, value):
    shown = json.loads(redactor.data(value))
    assert all(redactor.text(text) == text for text in strings(shown))


@OFTEN
@given(SOME_REDACTOR, JSON)
def test_redacting_json_twice_changes_nothing(redactor, value):
    once = redactor.data(value)
    assert redactor.raw(once) == once
    assert redactor.data(msgspec.Raw(once)) == once


@OFTEN
@given(SOME_REDACTOR, JSON, st.sampled_from([None, 1]), st.booleans())
def test_json_of_any_encoding_says_the_same(redactor, value, indent, ascii_only):
    foreign = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert json.loads(redactor.raw(foreign)) == json.loads(redactor.data(value))


def test_json_without_secrets_comes_back_byte_for_byte():
    foreign = b'{ "a" : [1.50, 2e3],\n "b": "x" }'
    assert Redactor(KNOWN).raw(foreign) == foreign


def test_json_that_hides_a_key_behind_escapes_is_read():
    assert Redactor().raw(b'{"p\\u0061ssword":"x"}') == b'{"password":"[redacted:password]"}'
    assert Redactor(["a/b/c"]).raw(b'["a\\/b\\/c"]') == b'["[redacted:known]"]'


def test_json_that_names_a_key_twice_hides_nothing():
    assert bytes(Redactor(KNOWN).raw(b'{"a":"hunter2!","a":1}')) == b'{"a":1}'


def test_a_string_under_a_secret_key_goes_whole_and_other_values_stay():
    payload = {
        "password": "two words", "db_passwd": "x", "apiKey": "k", "X-Api-Key": "k", "Authorization": "AWS4 x, y",
        "token": 5, "secret": None, "tokens": "many", "next_page_token": "p", "clientSecret": ["s"], "access_key": "",
    }  # fmt: skip
    assert json.loads(Redactor().data(payload)) == payload | {
        "password": "[redacted:password]", "db_passwd": "[redacted:password]", "apiKey": "[redacted:api_key]",
        "X-Api-Key": "[redacted:api_key]", "Authorization": "[redacted:authorization]",
    }  # fmt: skip


def test_known_values_in_keys_and_numbers_go_and_no_entry_is_lost():
    payload = {"20261121": 1, "hunter2!": 2, "n": 20261121, "m": -120261121.5, "t": True}
    assert json.loads(Redactor(KNOWN).data(payload)) == {
        "[redacted:known]": 1, "[redacted:known]_": 2, "n": "[redacted:known]", "m": "[redacted:known]", "t": True,
    }  # fmt: skip


def test_a_known_value_in_json_within_json_is_found():
    value = 'quote"back\\slash\n'
    payload = {"body": json.dumps({"a": value})}
    assert Redactor([value]).data(payload) == b'{"body":"{\\"a\\": \\"[redacted:known]\\"}"}'


class Line(msgspec.Struct):
    message: str
    level: str = "info"


def test_structs_are_encoded_like_mappings():
    assert Redactor().data(Line("password=x")) == b'{"message":"password=[redacted:password]","level":"info"}'
    assert compose(Line("done")) == b'{"message":"done","level":"info"}'
    assert compose({"a": 1}) == b'{"a":1}'


def test_what_is_not_json_is_refused():
    with pytest.raises(TypeError):
        Redactor().data(object())
    with pytest.raises(msgspec.DecodeError):
        Redactor().raw(b'{"password": ')


# --- the rules that patterns obey (see the module) ---

BY_KIND = [(row, around.format(secret)) for kind, around, secret in SECRETS for row in PATTERNS if row.kind == kind]


@pytest.mark.parametrize(("row", "text"), BY_KIND)
def test_an_answer_that_counts_as_decided_never_changes(row, text):
    text = text.encode()
    for literal in row.literals:
        at = text.find(literal)
        for end in range(at + len(literal), len(text)) if at >= 0 else ():
            now = row.match(text[:end], at)
            later = row.match(text, at)
            if not row.undecided(text[:end], at):
                assert (now and now[:2]) == (later and later[:2])


@pytest.mark.parametrize(("row", "text"), BY_KIND)
def test_no_head_is_longer_than_its_reach(row, text):
    text = text.encode()
    for literal in row.literals:
        at = text.find(literal)
        if at >= 0 and (found := row.match(text, at)):
            assert found[1] - at <= row.reach


@OFTEN
@given(SOME_REDACTOR, st.lists(JSON, max_size=4), st.lists(TEXTS, max_size=4))
def test_what_is_clear_together_is_left_alone_piece_by_piece(redactor, values, texts):
    encoded = [msgspec.json.encode(value) for value in values]
    if redactor.clear(b"\n".join([*encoded, *(text.encode() for text in texts)])):
        assert [redactor.raw(each) for each in encoded] == encoded
        assert [redactor.text(each) for each in texts] == texts
