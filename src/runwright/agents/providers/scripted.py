"""A provider that says what a script has: no network, the same every time. For tests, demonstrations and benchmarks."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from itertools import islice

import msgspec
from msgspec import UNSET, UnsetType

from runwright.agents.providers.port import Unsupported
from runwright.agents.providers.wire import Wire
from runwright.clock import Clock
from runwright.domain.model_call import (
    Done,
    Message,
    ModelCall,
    ModelEvent,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)

ECHO = "echo"


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer: its pieces come one by one, `delay_s` before each, and each counts as one token.

    `usage` None: the provider reports none; left out: it is counted.
    """

    thinking: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | UnsetType | None = UNSET
    delay_s: float = 0.0


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answers of a conversation in order.

    Which of them is next is told by the messages of the assistant that the call has, and by nothing else: whoever asks
    again, in whatever process, is answered the same.
    """

    turns: tuple[Turn, ...]


def read_scripts(data: bytes) -> dict[str, Script]:
    """Return the scripts of a JSON object ``{name: {"turns": [...]}}``. Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(data, type=dict[str, Script])


class Scripted:
    """Answers by the script that the call's model names; the model ``echo`` repeats what it is told last."""

    def __init__(self, clock: Clock, scripts: Mapping[str, Script]) -> None:
        self._clock = clock
        self._scripts = scripts

    async def stream(self, call: ModelCall, wire: Wire) -> AsyncGenerator[ModelEvent]:
        """Yield what the script has, cut at the call's limit of tokens, then `Done`."""
        turn = self._turn(call)
        pieces = [*_pieces(turn)]
        kept = [*islice(pieces, call.max_output_tokens)]
        for piece in kept:
            if turn.delay_s:
                await self._clock.sleep(turn.delay_s)
            for event in piece:
                yield event
        cut = len(kept) < len(pieces)
        usage = _counted(call, len(kept)) if turn.usage is UNSET else turn.usage
        if usage is not None and usage.output_tokens > call.max_output_tokens:
            usage = msgspec.structs.replace(usage, output_tokens=call.max_output_tokens)
        yield Done("length" if cut else "tools" if turn.tool_calls else "stop", usage)

    def _turn(self, call: ModelCall) -> Turn:
        if call.model == ECHO:
            return Turn(text=tuple(_echo(call.messages)))
        script = self._scripts.get(call.model)
        if script is None:
            raise Unsupported(f"there is no script {call.model[:100]!r}; name one of RUNWRIGHT_MODEL_SCRIPTS, or echo")
        at = sum(message.role == "assistant" for message in call.messages)
        if at >= len(script.turns):
            raise Unsupported(f"the script {call.model!r} has {len(script.turns)} turns, and this would be one more")
        return script.turns[at]


def _pieces(turn: Turn) -> Iterator[tuple[ModelEvent, ...]]:
    for text in turn.thinking:
        yield (TextDelta(text, "thinking"),)
    for text in turn.text:
        yield (TextDelta(text),)
    for index, tool_call in enumerate(turn.tool_calls):
        half = len(tool_call.arguments) // 2
        yield (
            ToolCallDelta(index, tool_call.id, tool_call.name),
            ToolCallDelta(index, arguments=tool_call.arguments[:half]),
            ToolCallDelta(index, arguments=tool_call.arguments[half:]),
        )


def _echo(messages: tuple[Message, ...]) -> Iterator[str]:
    last = messages[-1].parts if messages else ()
    said = " ".join(
        part.text if isinstance(part, Text) else part.content for part in last if isinstance(part, Text | ToolResult)
    )
    for number, word in enumerate(said.split(" ")):
        yield word if number == 0 else f" {word}"


def _counted(call: ModelCall, output_tokens: int) -> Usage:
    """Count the words of the prompt, as a stand-in for its tokens."""
    words = len(call.system.split())
    for part in (part for message in call.messages for part in message.parts):
        words += len(json.dumps(msgspec.to_builtins(part)).split())
    return Usage(input_tokens=max(words, 1), output_tokens=output_tokens)
