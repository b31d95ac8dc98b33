"""Read what people answer: a text, a form, or a yes or no to a call of a tool."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from runwright.domain.question import Asks
from runwright.errors import InvalidRequest

CONTENT_MAX_BYTES = 32_768

_WORDS: dict[str, Literal["approve", "deny"]] = {"approve": "approve", "yes": "approve", "deny": "deny", "no": "deny"}


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An answer to a confirmation; with `arguments` the call is made with these instead."""

    decision: Literal["approve", "deny"]
    arguments: dict[str, Any] | None = None
    comment: str | None = None


def require_content(content: str) -> None:
    """Raise `InvalidRequest` for a text that is empty, or has too many bytes."""
    size = len(content.encode())
    if not 1 <= size <= CONTENT_MAX_BYTES:
        raise InvalidRequest.at("content", f"must have 1 to {CONTENT_MAX_BYTES} bytes of UTF-8, and has {size}")


def meaning(kind: Asks, schema: dict[str, Any] | None, content: str) -> Any:
    """Return what an answer says, as JSON: a decision, a form, or the text itself.

    A form is not looked at here. Raises `InvalidRequest` for what is none, and then the run goes on waiting.
    """
    if kind == "confirmation":
        return msgspec.to_builtins(_decision(content))
    if schema is None:
        return content
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as broken:
        raise InvalidRequest.at("content", f"must be the form as JSON: {broken}") from None


def _decision(content: str) -> Decision:
    word = _WORDS.get(content.strip().lower())
    if word is not None:
        return Decision(decision=word)
    try:
        return msgspec.json.decode(content, type=Decision)
    except (msgspec.DecodeError, msgspec.ValidationError):
        wanted = 'approve, deny, or {"decision": "approve" or "deny", "arguments": {…}, "comment": "…"}'
        raise InvalidRequest.at("content", f"answers a confirmation, so it must be {wanted}") from None
