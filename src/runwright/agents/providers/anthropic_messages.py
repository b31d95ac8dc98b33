"""Anthropic's messages, and whoever speaks like them. The one place that makes clients of Anthropic's SDK."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterator
from typing import Any, cast

import msgspec
from anthropic import AsyncAnthropic, AsyncStream
from anthropic.types import RawMessageStreamEvent

from runwright.agents.providers.port import Malformed
from runwright.agents.providers.wire import STAND_IN, Wire
from runwright.domain.model_call import (
    Done,
    Image,
    Message,
    ModelCall,
    ModelEvent,
    OnlyTool,
    Part,
    StopReason,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
    reported,
)

ANTHROPIC = "https://api.anthropic.com"

_STOPS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tools",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "filter",
}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Messages:
    """Asks by `POST /v1/messages`."""

    async def stream(self, call: ModelCall, wire: Wire) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams, to `Done`."""
        client = AsyncAnthropic(
            api_key=STAND_IN,
            base_url=call.base_url or ANTHROPIC,
            max_retries=0,
            timeout=None,
            http_client=wire.client(),
        )
        events = cast("AsyncStream[RawMessageStreamEvent]", await client.messages.create(**_body(call)))
        async with events:
            counts: dict[str, Any] = {}
            stop: StopReason | None = None
            async for event in events:
                match event.type:
                    case "message_start":
                        _count(counts, event.message.usage)
                    case "message_delta":
                        _count(counts, event.usage)
                        if event.delta.stop_reason is not None:
                            stop = _STOPS.get(event.delta.stop_reason, "stop")
                    case "message_stop":
                        if stop is None:
                            raise Malformed
                        yield Done(stop, _usage(counts))
                for told in _events(event):
                    yield told


def _events(event: Any) -> Iterator[ModelEvent]:
    if event.type == "content_block_start":
        block = event.content_block
        if block.type == "tool_use":
            yield ToolCallDelta(event.index, block.id, block.name)
        elif block.type in {"text", "thinking"} and (begun := getattr(block, block.type)):
            yield TextDelta(begun, "final" if block.type == "text" else "thinking")
    elif event.type == "content_block_delta":
        delta = event.delta
        match delta.type:
            case "text_delta" if delta.text:
                yield TextDelta(delta.text)
            case "thinking_delta" if delta.thinking:
                yield TextDelta(delta.thinking, "thinking")
            case "input_json_delta" if delta.partial_json:
                yield ToolCallDelta(event.index, arguments=delta.partial_json)


def _count(counts: dict[str, Any], usage: Any) -> None:
    """Take over what is told: the later report counts, as each is of the whole so far."""
    counts |= {name: told for name in _COUNTS if (told := getattr(usage, name, None)) is not None}


def _usage(counts: dict[str, Any]) -> Usage | None:
    # Here `input_tokens` are those that the cache did not give, and neither took.
    inputs = [counts.get(name, 0) for name in _COUNTS if name != "output_tokens"]
    if any(not isinstance(count, int) or count < 0 for count in inputs):
        return None
    return reported(sum(inputs), counts.get("output_tokens"), counts.get("cache_read_input_tokens", 0))


def _body(call: ModelCall) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": call.model,
        "messages": _messages(call.messages),
        "max_tokens": call.max_output_tokens,
        "stream": True,
    }
    if call.system:
        body["system"] = call.system
    if call.temperature is not None:
        body["extra_body"] = {"temperature": call.temperature}  # no argument of the SDK since its version 1
    if call.stop:
        body["stop_sequences"] = list(call.stop)
    if call.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in call.tools
        ]
        choice = call.tool_choice
        body["tool_choice"] = (
            {"type": "tool", "name": choice.name} if isinstance(choice, OnlyTool) else {"type": _CHOICES[choice]}
        )
    return body


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Return them with the results of tools as the beginning of the user's next words, which is where they go here."""
    told: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [block for part in message.parts if (block := _block(part)) is not None]
        if told and told[-1]["role"] == role:
            told[-1]["content"] += blocks
        elif blocks:
            told.append({"role": role, "content": blocks})
    return told


def _block(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text):
            return {"type": "text", "text": text} if text.strip() else None  # blank ones are refused
        case Image(media_type, data):
            source = {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}
            return {"type": "image", "source": source}
        case ToolCall(ident, name, arguments):
            return {"type": "tool_use", "id": ident, "name": name, "input": _object(arguments)}
        case ToolResult(ident, content, failed):
            result = {"type": "tool_result", "tool_use_id": ident, "content": content}
            return result | {"is_error": True} if failed else result


def _object(arguments: str) -> Any:
    # What a model wrote may be no JSON; it is told so by the tool's result, and here there must be an object.
    try:
        read = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return {}
    return read if isinstance(read, dict) else {}
