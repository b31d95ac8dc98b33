"""What a run asks a person, while it waits for the answer: a wait `on` input whose key is the request's id."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from runwright.domain.redaction import RedactedText

Asks = Literal["question", "confirmation", "approval"]
"""A question is answered by a text or a form, a confirmation by yes or no; an approval is decided elsewhere."""

Mode = Literal["answer", "steer"]
"""What somebody says to a run: what it asked for, or something that it did not ask for."""


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request for an answer; its texts are redacted. With `schema` the answer is a form, JSON of that shape.

    So many messages of the run stand in its thread when it begins to wait.
    """

    request_id: str
    kind: Asks = "question"
    prompt: RedactedText
    schema: dict[str, Any] | None = None
    tool_call_id: str | None = None
    left_messages: int = 0
