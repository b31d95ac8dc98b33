"""What goes wrong with a provider, in our words: nothing of an SDK leaves the room, and never a part of a key."""

from __future__ import annotations

import email.utils
import logging
import re
from collections.abc import Mapping

import httpcore2

from runwright.agents.providers.patience import Impatient, Lapse
from runwright.agents.providers.port import Bounds, Malformed, Told, Unsupported, told_by
from runwright.agents.providers.wire import AnswerEncoded, AnswerTooLarge
from runwright.domain.redaction import Redactor
from runwright.errors import ProviderRejected, ProviderUnavailable, Trouble
from runwright.outbound.guard import AddressRefused, NameUnresolved

_WORDS_MAX = 300
_KIND = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHARED = 8  # so many characters in a row of a key are a part of it, and no chance
_RETRY_MAX_S = 86_400.0
_BEFORE_SENDING = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout)
_BROKEN = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)
_BUSY = frozenset({408, 409, 425, 429})
_NO_MONEY = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached", "credit_balance_too_low"})
_WRONG = frozenset(
    {"invalid_request_error", "authentication_error", "permission_error", "not_found_error", "request_too_large",
     "invalid_prompt", "context_length_exceeded", "invalid_image", "content_policy_violation"}
)  # fmt: skip

_log = logging.getLogger(__name__)

Fault = ProviderUnavailable | ProviderRejected


def fault(failure: Exception, *, secret: str | None, sent: bool, bounds: Bounds, now_us: int) -> Fault:
    """Return what a failure means for whoever asked; `sent`: the request may have reached the provider."""
    told = failure.__cause__ if isinstance(failure.__cause__, _CARRIED) else failure
    match told:
        case ProviderUnavailable() | ProviderRejected():
            return told
        case Impatient():
            return ProviderUnavailable(_lapsed(told.lapse, bounds), reason=told.lapse, billed=sent)
        case AddressRefused():
            return ProviderRejected(str(told), reason="address")
        case NameUnresolved():
            return ProviderUnavailable(str(told), reason="unreached")
        case httpcore2.PoolTimeout():
            all_used = f"all {bounds.connections} connections are in use (RUNWRIGHT_MODEL_CONNECTIONS)"
            return ProviderUnavailable(all_used, reason="unreached")
        case httpcore2.ConnectError() | httpcore2.ConnectTimeout():
            return ProviderUnavailable("The model provider cannot be connected to.", reason="unreached")
        case AnswerTooLarge():
            size = f"The answer has more than {bounds.answer_max_bytes} bytes (RUNWRIGHT_MODEL_ANSWER_MAX_BYTES)."
            return ProviderRejected(size, reason="too_large", billed=True)
        case Unsupported():
            return ProviderRejected(str(told), reason="unsupported")
        case Told():
            return _in_stream(told.kind, told.words, secret)
    if isinstance(told, _BROKEN):
        return ProviderUnavailable("The connection broke before the answer was whole.", reason="cut", billed=sent)
    return _of_sdk(told, secret, sent, now_us)


_CARRIED = (*_BEFORE_SENDING, *_BROKEN, AnswerTooLarge, AnswerEncoded)


def _lapsed(lapse: Lapse, bounds: Bounds) -> str:
    if lapse == "silent":
        return f"The model wrote nothing within {bounds.first_s:g} s (RUNWRIGHT_MODEL_FIRST_S)."
    if lapse == "stalled":
        return f"The answer stood still for {bounds.idle_s:g} s (RUNWRIGHT_MODEL_IDLE_S)."
    return f"The answer was not whole within {bounds.total_s:g} s (RUNWRIGHT_MODEL_TOTAL_S)."


def _of_sdk(failure: Exception | BaseException, secret: str | None, sent: bool, now_us: int) -> Fault:
    """Tell of an error of an SDK. Theirs are known by what they carry: the SDKs are loaded only where they are used."""
    status = getattr(failure, "status_code", None)
    kind, words = told_by(getattr(failure, "body", None))
    if isinstance(status, int) and status >= 300:
        headers = getattr(getattr(failure, "response", None), "headers", {})
        return _of_status(status, kind, words, _retry_after_s(headers, now_us), secret)
    if hasattr(failure, "body") and (kind or words):
        return _in_stream(kind, words, secret)
    if not isinstance(failure, Malformed | AnswerEncoded):
        at = failure.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else "?"
        _log.warning("an answer of a model provider cannot be read: %s at %s", type(failure).__name__, place)
    return ProviderUnavailable("The answer cannot be read.", reason="malformed", billed=sent)


def _of_status(status: int, kind: str, words: str, retry_after_s: float | None, secret: str | None) -> Fault:
    said = f"The model provider answered {status}{_quoted(kind, words, secret)}"
    if status in {401, 403}:
        # What it says here is most likely to be about the key.
        return ProviderRejected(f"The model provider answered {status}: look at its key.", reason="credentials")
    if status == 402 or (status == 429 and kind in _NO_MONEY):
        return ProviderRejected(said, reason="quota")
    if status in _BUSY or status >= 500:
        reason: Trouble = "rate_limited" if status == 429 else "overloaded"
        return ProviderUnavailable(said, reason=reason, retry_after_s=retry_after_s)
    if status < 400:
        moved = f"The model provider answered {status}: redirects are not followed, give the address that it means."
        return ProviderRejected(moved, reason="address")
    return ProviderRejected(said, reason="model" if status == 404 else "request")


def _in_stream(kind: str, words: str, secret: str | None) -> Fault:
    said = f"The model provider broke off{_quoted(kind, words, secret)}"
    if kind in _NO_MONEY:
        return ProviderRejected(said, reason="quota", billed=True)
    if kind in _WRONG:
        return ProviderRejected(said, reason="request", billed=True)
    limited = kind in {"rate_limit_error", "rate_limit_exceeded"}
    return ProviderUnavailable(said, reason="rate_limited" if limited else "overloaded", billed=True)


def _quoted(kind: str, words: str, secret: str | None) -> str:
    kind = kind if _KIND.fullmatch(kind) and _shown(kind, secret) == kind else ""
    named, shown = f" ({kind})" if kind else "", _shown(words, secret)
    return f"{named}: {shown}" if shown else f"{named}."


def _shown(words: str, secret: str | None) -> str:
    """Return words of a provider without secrets; nothing of them where a part of the key is left."""
    words = " ".join("".join(each if each.isprintable() else " " for each in words[: _WORDS_MAX * 4]).split())
    shown: str = Redactor([secret] if secret else []).text(words)
    if secret is not None:
        low, key = shown.lower(), secret.lower()
        if any(key[at : at + _SHARED] in low for at in range(max(len(key) - _SHARED, 0) + 1)):
            return "what it says repeats a part of the key, and is left out"
    return shown if len(shown) <= _WORDS_MAX else shown[:_WORDS_MAX] + "…"


def _retry_after_s(headers: Mapping[str, str], now_us: int) -> float | None:
    """Return after how many seconds a provider asks us to come back; it may say so in three ways."""
    asked: float | None = None
    after = headers.get("retry-after", "")
    if (exact := _number(headers.get("retry-after-ms", ""))) is not None:
        asked = exact / 1000
    elif (seconds := _number(after)) is not None:
        asked = seconds
    elif after:
        try:
            asked = email.utils.parsedate_to_datetime(after).timestamp() - now_us / 1e6
        except (ValueError, OverflowError):
            asked = None
    return None if asked is None else min(max(asked, 0.0), _RETRY_MAX_S)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text.strip()) else None
