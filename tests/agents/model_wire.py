"""The three wire formats of model providers, as their own servers write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

CREATED = 1_800_000_000


class Call(msgspec.Struct, frozen=True):
    """A tool call of a reply; its arguments go out in two pieces."""

    id: str
    name: str
    arguments: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a scripted server answers. `usage` None: it reports none."""

    thinking: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    usage: tuple[int, int, int, int] | None = (20, 5, 8, 2)
    """Input (with cached), output, cached, reasoning."""
    length: bool = False
    delay_s: float = 0.0

    def halves(self, call: Call) -> tuple[str, str]:
        middle = len(call.arguments) // 2
        return call.arguments[:middle], call.arguments[middle:]


def sse(data: Any, event: str | None = None) -> bytes:
    named = f"event: {event}\n" if event else ""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"{named}data: {text}\n\n".encode()


def chat(reply: Reply, model: str) -> Iterator[bytes]:
    """Yield `POST /chat/completions` with `stream` and `include_usage`."""

    def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": model}
        return sse({**head, "choices": choices, "usage": None, **more})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for text in reply.thinking:
        yield chunk({"reasoning_content": text})
    for text in reply.text:
        yield chunk({"content": text})
    for index, call in enumerate(reply.calls):
        first, second = reply.halves(call)
        function = {"name": call.name, "arguments": ""}
        yield chunk({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]})
        for piece in (first, second):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, "length" if reply.length else "tool_calls" if reply.calls else "stop")
    if reply.usage is not None:
        prompt, completion, cached, reasoning = reply.usage
        yield chunk(
            None,
            usage={
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
            },
        )
    yield sse("[DONE]")


def responses(reply: Reply, model: str) -> Iterator[bytes]:
    """Yield `POST /responses` with `stream`."""
    numbers = iter(range(10_000))
    output: list[dict[str, Any]] = []

    def event(kind: str, **more: Any) -> bytes:
        return sse({"type": kind, "sequence_number": next(numbers), **more}, kind)

    def response(status: str) -> dict[str, Any]:
        usage = None
        if status != "in_progress" and reply.usage is not None:
            prompt, completion, cached, reasoning = reply.usage
            usage = {
                "input_tokens": prompt,
                "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
                "output_tokens": completion,
                "output_tokens_details": {"reasoning_tokens": reasoning},
                "total_tokens": prompt + completion,
            }
        return {
            "id": "resp_1", "object": "response", "created_at": CREATED, "status": status, "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": None, "metadata": {}, "model": model, "output": list(output),
            "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "usage": usage,
        }  # fmt: skip

    yield event("response.created", response=response("in_progress"))
    yield event("response.in_progress", response=response("in_progress"))
    if reply.thinking:
        ident = {"item_id": "rs_1", "output_index": 0}
        yield event(
            "response.output_item.added", output_index=0, item={"id": "rs_1", "type": "reasoning", "summary": []}
        )
        for text in reply.thinking:
            yield event("response.reasoning_summary_text.delta", **ident, summary_index=0, delta=text)
        summary = [{"type": "summary_text", "text": "".join(reply.thinking)}]
        output.append({"id": "rs_1", "type": "reasoning", "summary": summary})
        yield event("response.output_item.done", output_index=0, item=output[-1])
    if reply.text:
        at = len(output)
        item = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        yield event("response.output_item.added", output_index=at, item=item)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        ident = {"item_id": "msg_1", "output_index": at, "content_index": 0}
        yield event("response.content_part.added", **ident, part=part)
        for text in reply.text:
            yield event("response.output_text.delta", **ident, delta=text, logprobs=[])
        whole = "".join(reply.text)
        yield event("response.output_text.done", **ident, text=whole, logprobs=[])
        output.append({**item, "status": "completed", "content": [{**part, "text": whole}]})
        yield event("response.output_item.done", output_index=at, item=output[-1])
    for call in reply.calls:
        at = len(output)
        item = {"id": f"fc_{at}", "type": "function_call", "status": "in_progress", "call_id": call.id}
        item |= {"name": call.name, "arguments": ""}
        yield event("response.output_item.added", output_index=at, item=item)
        for piece in reply.halves(call):
            yield event("response.function_call_arguments.delta", item_id=f"fc_{at}", output_index=at, delta=piece)
        done = {"item_id": f"fc_{at}", "output_index": at, "name": call.name, "arguments": call.arguments}
        yield event("response.function_call_arguments.done", **done)
        output.append({**item, "status": "completed", "arguments": call.arguments})
        yield event("response.output_item.done", output_index=at, item=output[-1])
    end = "incomplete" if reply.length else "completed"
    yield event(f"response.{end}", response=response(end))


def messages(reply: Reply, model: str) -> Iterator[bytes]:
    """Yield `POST /v1/messages` with `stream`."""

    def event(kind: str, **more: Any) -> bytes:
        return sse({"type": kind, **more}, kind)

    prompt, completion, cached, _ = reply.usage or (0, 0, 0, 0)
    begun = {"input_tokens": prompt - cached, "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached}
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {**begun, "output_tokens": min(completion, 1)},
    }  # fmt: skip
    yield event("message_start", message=message)
    yield event("ping")
    index = 0
    for kind, key, pieces in (("thinking", "thinking", reply.thinking), ("text", "text", reply.text)):
        if pieces:
            block: dict[str, Any] = {"type": kind, key: ""} | ({"signature": ""} if kind == "thinking" else {})
            yield event("content_block_start", index=index, content_block=block)
            for text in pieces:
                yield event("content_block_delta", index=index, delta={"type": f"{kind}_delta", key: text})
            yield event("content_block_stop", index=index)
            index += 1
    for call in reply.calls:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield event("content_block_start", index=index, content_block=block)
        for piece in reply.halves(call):
            more = {"type": "input_json_delta", "partial_json": piece}
            yield event("content_block_delta", index=index, delta=more)
        yield event("content_block_stop", index=index)
        index += 1
    stop = "max_tokens" if reply.length else "tool_use" if reply.calls else "end_turn"
    delta: dict[str, Any] = {"stop_reason": stop, "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": completion})
    yield event("message_stop")


WIRES = {"/chat/completions": chat, "/responses": responses, "/messages": messages}
