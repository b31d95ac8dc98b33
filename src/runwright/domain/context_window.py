"""How much of a conversation a model is told: what its context takes, the oldest turns left out first.

Nobody counts tokens but the provider. What it counted of the last prompt corrects what is estimated of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from runwright.domain.model_call import Counted, Image, Message, Part, Text, Tool, ToolCall, ToolResult

CONTEXT = 131_072
"""The context of a model of which nobody knows more: what takes less refuses, and says so."""
LEAST_OUTPUT = 256
"""For so many tokens of an answer there is room, or the model is not asked; for fewer where it may write fewer."""

_PER_PART = 8
_PER_IMAGE = 1_600


class Fit(msgspec.Struct, frozen=True):
    """Tell how a prompt fits: without its first `left_out` messages, and with so much room for the answer."""

    left_out: int
    max_output_tokens: int


class Overlong(msgspec.Struct, frozen=True):
    """Say that what cannot be left out has about so many `tokens`, and the context has no room for it."""

    tokens: int


class Size:
    """How large a prompt is without its first messages, estimated; or as what was `counted` of the last one says."""

    def __init__(
        self, system: str, tools: Sequence[Tool], messages: Sequence[Message], counted: Counted | None = None
    ) -> None:
        self._head = _of_text(system) + sum(map(_of_tool, tools)) + _PER_PART
        self._sums = [0, *accumulate(map(_of_message, messages))]
        self._counted = counted

    def tokens(self, left_out: int) -> int:
        """Return about how many tokens it has without its first messages."""
        known, sums = self._counted, self._sums
        estimated = self._head + sums[-1] - sums[left_out]
        if known is None:
            return estimated
        if left_out == known.left_out:
            return known.tokens + sums[-1] - sums[known.messages]
        before = self._head + sums[known.messages] - sums[known.left_out]
        return -(-estimated * known.tokens // before)


def fit(
    size: Size, messages: Sequence[Message], left_out: int, turn: int, context_window: int, max_output_tokens: int
) -> Fit | Overlong:
    """Return what of a prompt a model is told, so that it fits into the context together with the answer.

    Whole turns are left out, up to the run's own at `turn`, which is always told. Where one must go, a quarter of the
    room is made free: so the beginning stays the same for a while, and a provider's cache knows it. What was left out
    (so many messages) stays left out.
    """
    room = context_window - max_output_tokens
    if size.tokens(left_out) <= room:
        return Fit(left_out, max_output_tokens)
    shorter = [at for at in range(left_out + 1, turn + 1) if messages[at].role == "user"] or [left_out]
    for most in (room * 3 // 4, room):
        for at in shorter:
            if size.tokens(at) <= most:
                return Fit(at, max_output_tokens)
    tokens = size.tokens(shorter[-1])
    left = context_window - tokens
    return Fit(shorter[-1], left) if left >= min(LEAST_OUTPUT, max_output_tokens) else Overlong(tokens)


def _of_message(message: Message) -> int:
    return _PER_PART + sum(_PER_PART + _of_part(part) for part in message.parts)


def _of_part(part: Part) -> int:
    match part:
        case Text(text):
            return _of_text(text)
        case Image():
            return _PER_IMAGE
        case ToolCall(_, name, arguments):
            return _of_text(name) + _of_text(arguments)
        case ToolResult(_, content):
            return _of_text(content)


def _of_tool(tool: Tool) -> int:
    return _PER_PART + _of_text(tool.name + tool.description) + _of_text(msgspec.json.encode(tool.schema).decode())


def _of_text(text: str) -> int:
    """Return about how many tokens a text has: four letters each, and three bytes where it is not plain ASCII."""
    return -(-len(text) // 4) if text.isascii() else -(-len(text.encode()) // 3)
