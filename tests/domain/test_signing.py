"""The signatures, verified by the library that receivers use."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from runwright.clock import SystemClock
from runwright.domain.signing import signature_headers

FIRST = "whsec_" + base64.b64encode(b"1" * 32).decode()
SECOND = "whsec_" + base64.b64encode(b"2" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"3" * 32).decode()


def now_s():
    return SystemClock().now() // 1_000_000


@given(st.text().map(str.encode), st.from_regex(r"[a-z0-9_.]{1,64}", fullmatch=True))
def test_a_receiver_verifies_what_was_signed(body, message_id):
    headers = signature_headers([FIRST], message_id, now_s(), body)
    Webhook(FIRST).verify(body, headers, json_parse=False)


def test_during_a_rotation_a_receiver_needs_either_secret():
    headers = signature_headers([FIRST, SECOND], "run_1.1", now_s(), b"{}")
    for secret in (FIRST, SECOND):
        Webhook(secret).verify(b"{}", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(b"{}", headers)


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "old"])
def test_a_receiver_refuses_what_was_changed_or_is_old(change):
    at = now_s() - (600 if change == "old" else 0)
    headers = signature_headers([FIRST], "run_1.1", at, b"{}")
    if change in headers:
        headers[change] = {"webhook-id": "run_2.1", "webhook-timestamp": str(at + 1)}[change]
    with pytest.raises(WebhookVerificationError):
        Webhook(FIRST).verify(b"[]" if change == "body" else b"{}", headers)
