"""OpenAI's chat completions, and whoever speaks like them: vLLM, llama.cpp, Ollama, OpenRouter and many more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec

from runwright.agents.providers.openai_sdk import OPENAI, client, data_url
from runwright.agents.providers.port import Told, told_by
from runwright.agents.providers.sse import events
from runwright.agents.providers.wire import Wire
from runwright.domain.model_call import (
    Done,
    Image,
    Message,
    ModelCall,
    ModelEvent,
    OnlyTool,
    StopReason,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
    reported,
)

_STOPS: dict[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tools",
    "function_call": "tools",
    "content_filter": "filter",
}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    # No part of OpenAI's own format: DeepSeek, vLLM and llama.cpp say the first, others the second.
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Chunk)


class ChatCompletions:
    """Asks by `POST /chat/completions`."""

    async def stream(self, call: ModelCall, wire: Wire) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams, to `Done`."""
        asking = client(call, wire).chat.completions.with_streaming_response
        # As `extra_body`, the SDK sends it as it is, and does not walk through all of a conversation to rename nothing.
        async with asking.create(model=call.model, messages=[], stream=True, extra_body=_body(call)) as response:
            stop: StopReason | None = None
            done = False
            async for chunk in events(response.iter_bytes(), _DECODER):
                if chunk.error is not None:
                    raise Told(*told_by(chunk.error))
                for choice in chunk.choices[:1]:
                    for event in _events(choice.delta):
                        yield event
                    if choice.finish_reason is not None:
                        stop = _STOPS.get(choice.finish_reason, "stop")
                if chunk.usage is not None and stop is not None and not done:
                    done = True
                    yield Done(stop, _usage(chunk.usage))
            if stop is not None and not done:
                yield Done(stop)


def _events(delta: _Delta) -> Iterator[ModelEvent]:
    if thinking := delta.reasoning_content or delta.reasoning:
        yield TextDelta(thinking, "thinking")
    for text in (delta.content, delta.refusal):
        if text:
            yield TextDelta(text)
    for piece in delta.tool_calls or ():
        function = piece.function or _Function()
        yield ToolCallDelta(piece.index, piece.id or "", function.name or "", function.arguments or "")


def _usage(usage: _Usage) -> Usage | None:
    return reported(
        usage.prompt_tokens,
        usage.completion_tokens,
        (usage.prompt_tokens_details or {}).get("cached_tokens"),
        (usage.completion_tokens_details or {}).get("reasoning_tokens"),
    )


def _body(call: ModelCall) -> dict[str, Any]:
    # Other servers know the older word only; OpenAI's newer models the newer one only.
    limit = "max_completion_tokens" if (call.base_url or OPENAI) == OPENAI else "max_tokens"
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [*_messages(call)],
        "stream": True,
        "stream_options": {"include_usage": True},
        limit: call.max_output_tokens,
    }
    if call.temperature is not None:
        body["temperature"] = call.temperature
    if call.stop:
        body["stop"] = list(call.stop)
    if call.tools:
        body["tools"] = [_tool(tool) for tool in call.tools]
        choice = call.tool_choice
        body["tool_choice"] = (
            {"type": "function", "function": {"name": choice.name}} if isinstance(choice, OnlyTool) else choice
        )
    return body


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def _messages(call: ModelCall) -> Iterator[dict[str, Any]]:
    if call.system:
        yield {"role": "system", "content": call.system}
    for message in call.messages:
        if message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.content}
        elif message.role == "assistant":
            yield _assistant(message)
        else:
            yield {"role": "user", "content": _content(message)}


def _assistant(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if calls:
        told["tool_calls"] = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments}}
            for each in calls
        ]
    return told


def _content(message: Message) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in message.parts):
        return message.text
    content: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, Text):
            content.append({"type": "text", "text": part.text})
        elif isinstance(part, Image):
            content.append({"type": "image_url", "image_url": {"url": data_url(part)}})
    return content
