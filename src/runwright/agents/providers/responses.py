"""OpenAI's responses; nothing is kept there: the conversation is ours, and goes along whole each time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec

from runwright.agents.providers.openai_sdk import client, data_url
from runwright.agents.providers.port import Told, Unsupported, told_by
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


class _Item(msgspec.Struct):
    type: str = ""
    call_id: str = ""
    name: str = ""
    arguments: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None
    error: Any = None
    incomplete_details: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None


class _Event(msgspec.Struct):
    type: str
    delta: Any = None
    output_index: int = 0
    item: _Item | None = None
    response: _Response | None = None
    error: Any = None
    code: Any = None
    message: Any = None


_DECODER = msgspec.json.Decoder(_Event)


class Responses:
    """Asks by `POST /responses`."""

    async def stream(self, call: ModelCall, wire: Wire) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams, to `Done`."""
        asking = client(call, wire).responses.with_streaming_response
        # As `extra_body`, the SDK sends it as it is, and does not walk through all of a conversation to rename nothing.
        async with asking.create(model=call.model, input=[], stream=True, extra_body=_body(call)) as response:
            calls_tools = False
            async for event in events(response.iter_bytes(), _DECODER):
                match event.type:
                    case "response.completed" | "response.incomplete":
                        yield _done(event.response or _Response(), calls_tools)
                    case "response.failed":
                        raise Told(*told_by(event.response and event.response.error))
                    case "error":
                        raise Told(*told_by(event.error or {"code": event.code, "message": event.message}))
                for told in _events(event):
                    calls_tools = calls_tools or isinstance(told, ToolCallDelta)
                    yield told


def _events(event: _Event) -> Iterator[ModelEvent]:
    match event.type:
        case "response.output_text.delta" | "response.refusal.delta":
            if event.delta:
                yield TextDelta(event.delta)
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            if event.delta:
                yield TextDelta(event.delta, "thinking")
        case "response.output_item.added" if event.item is not None and event.item.type == "function_call":
            item = event.item
            yield ToolCallDelta(event.output_index, item.call_id, item.name, item.arguments or "")
        case "response.function_call_arguments.delta":
            yield ToolCallDelta(event.output_index, arguments=event.delta)


def _done(response: _Response, calls_tools: bool) -> Done:
    stop: StopReason = "tools" if calls_tools else "stop"
    if response.status == "incomplete":
        why = (response.incomplete_details or {}).get("reason")
        stop = "filter" if why == "content_filter" else "length"
    return Done(stop, _usage(response.usage))


def _usage(usage: dict[str, Any] | None) -> Usage | None:
    if usage is None:
        return None
    return reported(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        (usage.get("input_tokens_details") or {}).get("cached_tokens"),
        (usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
    )


def _body(call: ModelCall) -> dict[str, Any]:
    if call.stop:
        raise Unsupported(
            "OpenAI's responses know no stop texts; leave them out, or use the provider openai-compatible"
        )
    body: dict[str, Any] = {
        "model": call.model,
        "input": [item for message in call.messages for item in _items(message)],
        "max_output_tokens": call.max_output_tokens,
        "store": False,
        "stream": True,
    }
    if call.system:
        body["instructions"] = call.system
    if call.temperature is not None:
        body["temperature"] = call.temperature
    if call.tools:
        body["tools"] = [_tool(tool) for tool in call.tools]
        choice = call.tool_choice
        body["tool_choice"] = {"type": "function", "name": choice.name} if isinstance(choice, OnlyTool) else choice
    return body


def _tool(tool: Tool) -> dict[str, Any]:
    # Strict schemas are a dialect of their own; arguments are checked where the tool is called.
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema,
        "strict": False,
    }


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "user":
        yield {"type": "message", "role": "user", "content": [*_content(message)]}
        return
    if message.text:
        yield {"type": "message", "role": "assistant", "content": message.text}
    for part in message.parts:
        if isinstance(part, ToolCall):
            yield {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
        elif isinstance(part, ToolResult):
            yield {"type": "function_call_output", "call_id": part.tool_call_id, "output": part.content}


def _content(message: Message) -> Iterator[dict[str, Any]]:
    for part in message.parts:
        if isinstance(part, Text):
            yield {"type": "input_text", "text": part.text}
        elif isinstance(part, Image):
            yield {"type": "input_image", "image_url": data_url(part), "detail": "auto"}
