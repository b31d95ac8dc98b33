"""What forges answer, and what it means that they do not do something: when to come again, or what is to be mended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

import msgspec

from runwright.domain.instants import SECOND_US
from runwright.forges.port import BUSY_S, Refused

T = TypeVar("T")
SAID_MAX = 300
WAIT_MAX_S = 3600
LIMITED_S = 60
"""How long to wait after a limit of requests that says no time: GitHub asks for a minute at least."""
MOVED = (301, 302, 303, 307, 308)
_DIGITS_MAX = 12
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Answer(NamedTuple):
    """What a forge answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def record(self) -> dict[str, Any]:
        """Return the object that it is. Raises `Refused`."""
        return self._read(dict[str, Any])

    def records(self) -> list[dict[str, Any]]:
        """Return the list of objects that it is. Raises `Refused`."""
        return self._read(list[dict[str, Any]])

    def _read(self, form: type[T]) -> T:
        try:
            return msgspec.json.decode(self.body, type=form)
        except _UNREADABLE:
            message = "the forge answers something else than the JSON that its documents promise"
            raise Refused("FORGE_ERROR", message, retryable=False) from None

    @property
    def said(self) -> str:
        """Return what the forge says of it, in plain text; empty where it says nothing that people could read."""
        return "".join(each for each in _told(self) if each.isprintable())[:SAID_MAX]


def within(told: Mapping[str, Any], *names: str) -> Any:
    """Return what stands in an object in an object; None where there is none."""
    found: Any = told
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def refusal(answer: Answer, what: str, now: int) -> Refused:
    """Return why a forge does not do something."""
    wait_s = _wait_s(answer, now)
    told = f": {answer.said}" if answer.said else ""
    if answer.status == 429 or (answer.status == 403 and (wait_s is not None or "rate limit" in told.lower())):
        message = f"{what}: the forge has had too many requests"
        return Refused("FORGE_ERROR", message, retry_after_s=wait_s or LIMITED_S)
    if answer.status >= 500:
        return Refused("FORGE_ERROR", f"{what}: the forge answers {answer.status}", retry_after_s=wait_s or BUSY_S)
    if answer.status in MOVED:
        message = f"{what}: the repository has moved{_to(answer)} ({answer.status}); run again over its new address"
    elif answer.status in (401, 403):
        message = f"{what}: the forge does not let the project's token do it ({answer.status}){told}"
    elif answer.status == 404:
        message = f"{what}: there is no such repository, or the project's token may not see it (404)"
    else:
        message = f"{what}: the forge answers {answer.status}{told}"
    return Refused("FORGE_ERROR", message, retryable=False)


def _wait_s(answer: Answer, now: int) -> int | None:
    """Return how long a forge asks to be left alone; None where it does not."""
    told, now_s = answer.headers.get("retry-after", "").strip(), now // SECOND_US
    if _is_number(told):
        return _bounded(int(told))
    if told:
        try:
            at = parsedate_to_datetime(told)
        except ValueError:
            return None
        return _bounded(int(at.replace(tzinfo=at.tzinfo or UTC).timestamp()) - now_s)
    reset = answer.headers.get("x-ratelimit-reset") or answer.headers.get("ratelimit-reset") or ""
    left = answer.headers.get("x-ratelimit-remaining") or answer.headers.get("ratelimit-remaining")
    return _bounded(int(reset) - now_s) if left == "0" and _is_number(reset) else None


def _is_number(told: str) -> bool:
    return told.isascii() and told.isdigit() and len(told) <= _DIGITS_MAX


def _bounded(wait_s: int) -> int:
    return min(max(wait_s, 1), WAIT_MAX_S)


def _to(answer: Answer) -> str:
    """Return where something has gone, as far as it may be told: without what stands behind a question mark."""
    place = answer.headers.get("location", "").partition("?")[0].removesuffix("/info/refs")
    named = "".join(each for each in place if each.isprintable())[:SAID_MAX]
    return f" to {named}" if named.startswith(("https://", "http://")) and "@" not in named else ""


def _told(answer: Answer) -> str:
    if answer.headers.get("content-type", "").startswith("text/plain"):
        return answer.body[: 4 * SAID_MAX].decode("utf-8", "replace").strip()
    try:
        return _named(msgspec.json.decode(answer.body))
    except _UNREADABLE:
        return ""


def _named(told: Any) -> str:
    """Return what an answer says under the names that forges have for it."""
    if not isinstance(told, dict):
        return ""
    parts = [_words(told.get("message")), _words(told.get("error"))]
    errors = told.get("errors")
    parts += [_words(each) for each in (errors if isinstance(errors, list) else [])]
    return "; ".join(part for part in parts if part)


def _words(told: Any) -> str:
    """Return one of the things that a forge says: a text, several of them, or where it found what to be wrong."""
    if isinstance(told, dict):
        if "message" in told:
            return _words(told["message"])
        if "field" in told:
            return f"{told['field']} is {told.get('code', 'wrong')}"
        return "; ".join(f"{name}: {_words(value)}" for name, value in told.items())
    if isinstance(told, list):
        return "; ".join(part for part in map(_words, told) if part)
    return "" if told is None else str(told)
