"""What our scripted server says is what the official SDKs read.

They are loaded by the first test that asks for them: each process of a session collects this file, and they are large.
"""

import json
from importlib import import_module
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.agents.model_server import serving
from tests.agents.model_wire import Call, Reply, chat, messages, responses

KINDS = {
    chat: ("openai.types.chat", "ChatCompletionChunk"),
    responses: ("openai.types.responses", "ResponseStreamEvent"),
    messages: ("anthropic.types", "RawMessageStreamEvent"),
}
REPLIES = [
    Reply(text=("Good", " day")),
    Reply(thinking=("Hm", "…"), text=("Yes",), calls=(Call("call_1", "clock", '{"zone":"UTC"}'),)),
    Reply(text=("Once",), length=True, usage=(0, 0, 0, 0)),
]


@pytest.fixture(scope="module")
def described() -> dict[Any, TypeAdapter[Any]]:
    """Return how the SDKs describe the events of each wire."""
    return {wire: TypeAdapter(getattr(import_module(module), kind)) for wire, (module, kind) in KINDS.items()}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("wire", KINDS)
def test_every_event_is_one_that_the_sdk_describes(described: dict[Any, TypeAdapter[Any]], wire, reply):
    for piece in wire(reply, "model-1"):
        data = next(line for line in piece.decode().splitlines() if line.startswith("data: "))[6:]
        if data != "[DONE]" and '"type":"ping"' not in data:
            described[wire].validate_python(json.loads(data))


async def test_the_official_sdks_put_the_same_answer_together():
    said = [{"role": "user", "content": "Hello"}]
    tools = [{"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}]
    counted = {"include_usage": True}
    async with serving(REPLIES[1]) as server:
        openais: Any = import_module("openai").AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0)
        anthropics: Any = import_module("anthropic").AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0)
        async with openais, anthropics:
            asked = {"model": "m", "messages": said}
            async with openais.chat.completions.stream(**asked, tools=tools, stream_options=counted) as chats:
                completion = await chats.get_final_completion()
            async with openais.responses.stream(model="m", input="Hello") as answers:
                response = await answers.get_final_response()
            async with anthropics.messages.stream(**asked, max_tokens=9) as stream:
                message = await stream.get_final_message()
    told = completion.choices[0].message
    assert (told.content, told.tool_calls[0].function.arguments) == ("Yes", '{"zone":"UTC"}')
    assert (completion.usage.prompt_tokens, completion.usage.prompt_tokens_details.cached_tokens) == (20, 8)
    assert (response.output_text, response.output[-1].arguments) == ("Yes", '{"zone":"UTC"}')
    assert (response.usage.output_tokens, response.usage.output_tokens_details.reasoning_tokens) == (5, 2)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[2].input == {"zone": "UTC"}
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (12, 8, 5)
