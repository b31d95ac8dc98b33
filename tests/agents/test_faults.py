import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpcore2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runwright.agents.providers.faults import fault
from runwright.agents.providers.port import Bounds, Told
from runwright.errors import ProviderRejected, ProviderUnavailable
from runwright.outbound.guard import NameUnresolved

NOW_US = 1_800_000_000_000_000
NOW = datetime.fromtimestamp(NOW_US / 1e6, UTC)
KEYS = st.text(st.sampled_from("abcdefgXYZ0123456789-_"), min_size=12, max_size=60)


def told(failure, secret=None, sent=True) -> Any:
    return fault(failure, secret=secret, sent=sent, bounds=Bounds(), now_us=NOW_US)


def status(code, words="", kind="some_error", **headers):
    """Return an error as the SDKs raise them."""
    failure: Any = RuntimeError("an error of an SDK")
    failure.status_code = code
    failure.body = {"error": {"type": kind, "message": words}}
    failure.response = SimpleNamespace(headers=headers)
    return failure


SPELLINGS = {
    "plain": lambda key: key,
    "upper": lambda key: key.upper(),
    "beginning": lambda key: key[:9] + "…",
    "end": lambda key: "***" + key[-9:],
    "in two": lambda key: key[: len(key) // 2] + "\n" + key[len(key) // 2 :],
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "quoted": lambda key: quote(key, safe=""),
    "with control characters": lambda key: "\x1b[1m" + key + "\x00",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(key=KEYS, before=st.text(max_size=40), after=st.text(max_size=400))
@example(key="sk-ant-REDACTED", before="Invalid key ", after=" given")
def test_no_part_of_a_key_is_told_whatever_a_provider_says(spelling, key, before, after):
    echoed = f"{before}{SPELLINGS[spelling](key)}{after}"
    for failure in (status(400, echoed), status(500, echoed), status(400, "no", kind=echoed), Told("x", echoed)):
        error = told(failure, key)
        shown = repr((error.detail, error.data, error.args)).lower()
        assert not any(key.lower()[at : at + 8] in shown for at in range(len(key) - 7))
        assert base64.b64encode(key.encode()).decode().lower() not in shown


def test_words_without_a_secret_are_shown_and_cut():
    error = told(status(400, "The model\nis   busy. " + "x" * 400), "a-key-of-some-length")
    assert error.detail.startswith("The model provider answered 400 (some_error): The model is busy. xxx")
    assert len(error.detail) < 400
    assert error.detail.endswith("…")


CODES = {
    400: (ProviderRejected, "request"),
    401: (ProviderRejected, "credentials"),
    402: (ProviderRejected, "quota"),
    403: (ProviderRejected, "credentials"),
    404: (ProviderRejected, "model"),
    408: (ProviderUnavailable, "overloaded"),
    409: (ProviderUnavailable, "overloaded"),
    413: (ProviderRejected, "request"),
    422: (ProviderRejected, "request"),
    429: (ProviderUnavailable, "rate_limited"),
    500: (ProviderUnavailable, "overloaded"),
    503: (ProviderUnavailable, "overloaded"),
    529: (ProviderUnavailable, "overloaded"),
    301: (ProviderRejected, "address"),
}


@pytest.mark.parametrize("code", CODES)
def test_each_status_has_its_meaning_and_costs_nothing(code):
    error = told(status(code))
    assert (type(error), error.reason, error.billed) == (*CODES[code], False)


WAITS = {
    "7": 7.0,
    "0.5": 0.5,
    "999999999": 86_400.0,
    "-1": None,
    "soon": None,
    "": None,
    "1e9": None,
    format_datetime(NOW + timedelta(seconds=90), usegmt=True): 90.0,
    format_datetime(NOW - timedelta(seconds=90), usegmt=True): 0.0,
}


@pytest.mark.parametrize("header", WAITS)
def test_a_time_to_come_back_is_read_in_every_spelling(header):
    assert told(status(429, **{"retry-after": header})).retry_after_s == WAITS[header]


def test_milliseconds_are_finer_than_seconds():
    assert told(status(429, **{"retry-after": "2", "retry-after-ms": "1250"})).retry_after_s == 1.25


def test_what_broke_before_the_request_was_sent_costs_nothing():
    assert told(httpcore2.ReadError(), sent=False).billed is False
    assert told(httpcore2.ReadError(), sent=True).billed is True
    unresolved = told(NameUnresolved("the name x.example cannot be resolved"), sent=False)
    assert (unresolved.reason, unresolved.billed) == ("unreached", False)


def test_an_unreadable_answer_tells_nothing_of_itself(caplog):
    error = told(ValueError("Bearer sk-of-the-tenant"))
    assert (error.reason, error.detail) == ("malformed", "The answer cannot be read.")
    assert "sk-of" not in caplog.text
    assert "ValueError" in caplog.text
