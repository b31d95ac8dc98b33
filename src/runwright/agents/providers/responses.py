"""OpenAI's responses; nothing is kept there: the conversation is ours, and goes along whole each time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any, cast

from openai import AsyncStream
from openai.types.responses import ResponseStreamEvent

from runwright.agents.providers.openai_sdk import client, data_url
from runwright.agents.providers.port import Told, Unsupported
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


class Responses:
    """Asks by `POST /responses`."""

    async def stream(self, call: ModelCall, wire: Wire) -> AsyncGenerator[ModelEvent]:
        """Yield what the model streams, to `Done`."""
        events = cast("AsyncStream[ResponseStreamEvent]", await client(call, wire).responses.create(**_body(call)))
        async with events:
            calls_tools = False
            async for event in events:
                match event.type:
                    case "response.completed" | "response.incomplete":
                        yield _done(event.response, calls_tools)
                    case "response.failed":
                        failure = event.response.error
                        raise Told(failure.code if failure else "", failure.message if failure else "")
                    case "error":
                        raise Told(event.code or "", event.message or "")
                for told in _events(event):
                    calls_tools = calls_tools or isinstance(told, ToolCallDelta)
                    yield told


def _events(event: Any) -> Iterator[ModelEvent]:
    match event.type:
        case "response.output_text.delta" | "response.refusal.delta":
            if event.delta:
                yield TextDelta(event.delta)
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            if event.delta:
                yield TextDelta(event.delta, "thinking")
        case "response.output_item.added" if event.item.type == "function_call":
            yield ToolCallDelta(event.output_index, event.item.call_id, event.item.name, event.item.arguments or "")
        case "response.function_call_arguments.delta":
            yield ToolCallDelta(event.output_index, arguments=event.delta)


def _done(response: Any, calls_tools: bool) -> Done:
    stop: StopReason = "tools" if calls_tools else "stop"
    if response.status == "incomplete":
        why = response.incomplete_details and response.incomplete_details.reason
        stop = "filter" if why == "content_filter" else "length"
    return Done(stop, _usage(response.usage))


def _usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    spent, written = usage.input_tokens_details, usage.output_tokens_details
    return reported(
        usage.input_tokens,
        usage.output_tokens,
        spent and spent.cached_tokens,
        written and written.reasoning_tokens,
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
