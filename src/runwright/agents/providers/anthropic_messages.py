"""Anthropic's messages, and whoever speaks like them. The one place that makes clients of Anthropic's SDK."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec
from anthropic import AsyncAnthropic

from runwright.agents.providers.port import Malformed, Told, told_by
from runwright.agents.providers.sse import events
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


class _Message(msgspec.Struct):
    usage: dict[str, Any] = {}


class _Block(msgspec.Struct):
    type: str
    id: str = ""
    name: str = ""
    text: str = ""
    thinking: str = ""


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Event)


class Messages:
    """Asks by `POST /v1/messages`."""

    async def stream(self, call: ModelCall, wire: Wire) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams, to `Done`."""
        async with _client(call, wire).messages.with_streaming_response.create(**_body(call)) as response:
            counts: dict[str, Any] = {}
            stop: StopReason | None = None
            async for event in events(response.iter_bytes(), _DECODER):
                match event.type:
                    case "message_start" if event.message is not None:
                        _count(counts, event.message.usage)
                    case "message_delta" if event.delta is not None:
                        _count(counts, event.usage or {})
                        if event.delta.stop_reason is not None:
                            stop = _STOPS.get(event.delta.stop_reason, "stop")
                    case "message_stop":
                        if stop is None:
                            raise Malformed
                        yield Done(stop, _usage(counts))
                    case "error":
                        raise Told(*told_by(event.error))
                for told in _events(event):
                    yield told


def _client(call: ModelCall, wire: Wire) -> AsyncAnthropic:
    return AsyncAnthropic(
        api_key=STAND_IN, base_url=call.base_url or ANTHROPIC, max_retries=0, timeout=None, http_client=wire.client()
    )


def _events(event: _Event) -> Iterator[ModelEvent]:
    block, delta = event.content_block, event.delta
    if event.type == "content_block_start" and block is not None:
        if block.type == "tool_use":
            yield ToolCallDelta(event.index, block.id, block.name)
        elif block.type == "text" and block.text:
            yield TextDelta(block.text)
        elif block.type == "thinking" and block.thinking:
            yield TextDelta(block.thinking, "thinking")
    elif event.type == "content_block_delta" and delta is not None:
        if delta.type == "text_delta" and delta.text:
            yield TextDelta(delta.text)
        elif delta.type == "thinking_delta" and delta.thinking:
            yield TextDelta(delta.thinking, "thinking")
        elif delta.type == "input_json_delta" and delta.partial_json:
            yield ToolCallDelta(event.index, arguments=delta.partial_json)


def _count(counts: dict[str, Any], usage: dict[str, Any]) -> None:
    """Take over what is told: the later report counts, as each is of the whole so far."""
    counts |= {name: told for name in _COUNTS if (told := usage.get(name)) is not None}


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
