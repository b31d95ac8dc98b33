"""Read what an endpoint answered: which end of the attempt a status and a body mean."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from runwright.errors import InvalidRequest

RETRYABLE = frozenset({408, 409, 425, 429, *range(500, 600)})
"""Statuses after which another attempt may succeed, unless the job lists its own."""

ACCEPTED = 202
EXCERPT_BYTES = 1024
_RETRY_AFTER_MAX_S = 366 * 86_400
_SECONDS = re.compile(r"[0-9]{1,18}")


def is_retryable(status: int, retry_on: tuple[int, ...]) -> bool:
    """Tell whether a status asks for another attempt; a job's own list replaces the usual one."""
    return status in (retry_on or RETRYABLE)


def result_of(body: bytes) -> Any:
    """Return the result that a body is: JSON as it is, `{"text": …}` for anything else, None for nothing.

    Raises `InvalidRequest` (`value.too_deep`) for JSON that nobody could walk down.
    """
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise InvalidRequest("the answer is nested too deeply", code="value.too_deep") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {"text": body.decode("utf-8", "replace")}


def retry_after_s(text: str | None, now_us: int) -> float | None:
    """Return the seconds that a `Retry-After` asks to wait (RFC 9110, 10.2.3), None where it says nothing readable.

    More than a year is a year: it is bounded by the job's longest delay anyway.
    """
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        return float(min(int(text), _RETRY_AFTER_MAX_S))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return min(max(at.timestamp() - now_us / 1e6, 0.0), float(_RETRY_AFTER_MAX_S))


def excerpt(body: bytes, secret: str = "") -> str:
    """Return the beginning of a body as one line of text, for a message; `secret` is left out."""
    text = body.decode("utf-8", "replace")
    if secret:
        text = text.replace(secret, "[redacted]")
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown.encode()[:EXCERPT_BYTES].decode("utf-8", "ignore")
