import asyncio
import logging
from contextlib import aclosing

import pytest

from runwright.agents.providers.port import Bounds
from runwright.agents.providers.registry import Providers
from runwright.clock import SystemClock
from runwright.domain.model_call import (
    Answer,
    Done,
    Image,
    Message,
    ModelCall,
    OnlyTool,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from runwright.errors import ProviderRejected, ProviderUnavailable
from tests.agents.model_server import ModelServer, serving
from tests.agents.model_wire import Call, Reply
from tests.ports import kept
from tests.waiting import until

REMOTE = ("openai", "openai-compatible", "anthropic")
KEY = "sk-test-0123456789abcdefghijklmnop"
SHORT = Bounds(first_s=1.0, idle_s=0.3, answer_max_bytes=1 << 20)
LONG = Bounds(answer_max_bytes=1 << 20)
CLOCK = Tool("clock", "Tells the time.", {"type": "object", "properties": {"zone": {"type": "string"}}})


def call(provider, server: ModelServer | None = None, **changes):
    base = None if server is None else f"{server.url}/v1" if provider != "anthropic" else server.url
    given = {"messages": (Message("user", (Text("Hello"),)),), "max_output_tokens": 100, "model": "model-1"}
    return ModelCall(**{"provider": provider, "base_url": base, **given, **changes})


async def ask(server, provider, bounds=LONG, secret=KEY, **changes):
    """Ask once; return what came, and the error that it ended with, if it did."""
    providers = Providers(SystemClock(), bounds, allow_private=True)
    answer = Answer()
    try:
        async for event in providers.stream(call(provider, server, **changes), secret):
            answer.add(event)
    except (ProviderUnavailable, ProviderRejected) as error:
        return answer, error
    finally:
        await providers.close()
    return answer, None


async def fails(server, provider, bounds=LONG):
    answer, error = await ask(server, provider, bounds)
    assert error is not None
    assert KEY not in repr((error.detail, error.data, error.args))
    assert error.__context__ is None
    assert error.__cause__ is None
    return answer, error


@pytest.mark.parametrize("provider", REMOTE)
async def test_text_streams_piece_by_piece_to_its_end_with_its_usage(provider):
    async with serving(Reply(text=("Good", " day", "!"))) as server:
        providers = Providers(SystemClock(), LONG, allow_private=True)
        events = [event async for event in providers.stream(call(provider, server), KEY)]
        await providers.close()
    reasoning = 0 if provider == "anthropic" else 2
    usage = Usage(input_tokens=20, output_tokens=5, cached_tokens=8, reasoning_tokens=reasoning)
    assert events == [TextDelta("Good"), TextDelta(" day"), TextDelta("!"), Done("stop", usage)]
    assert server.asked[0].key == KEY


@pytest.mark.parametrize("provider", REMOTE)
async def test_thinking_tool_calls_and_text_are_told_apart(provider):
    calls = (Call("call_1", "clock", '{"zone":"UTC"}'), Call("call_2", "clock", ""))
    async with serving(Reply(thinking=("Hm", "…"), text=("Let me look.",), calls=calls)) as server:
        answer, error = await ask(server, provider, tools=(CLOCK,))
    assert error is None
    assert (answer.thinking, answer.text) == ("Hm…", "Let me look.")
    assert answer.tool_calls == (ToolCall("call_1", "clock", '{"zone":"UTC"}'), ToolCall("call_2", "clock", "{}"))
    assert answer.done is not None
    assert answer.done.stop_reason == "tools"


@pytest.mark.parametrize("provider", REMOTE)
async def test_an_answer_that_was_cut_at_its_limit_says_so(provider):
    async with serving(Reply(text=("Once",), length=True)) as server:
        answer, _ = await ask(server, provider)
    assert answer.done is not None
    assert answer.done.stop_reason == "length"


@pytest.mark.parametrize("usage", [(0, 0, 0, 0), (-5, 3, 0, 0), (0, 7, 0, 0)])
@pytest.mark.parametrize("provider", REMOTE)
async def test_a_usage_that_cannot_be_is_unknown_and_not_free(provider, usage):
    async with serving(Reply(text=("Once",), usage=usage)) as server:
        answer, error = await ask(server, provider)
    assert (error, answer.text, answer.done) == (None, "Once", Done("stop"))


@pytest.mark.parametrize("provider", ["openai", "openai-compatible"])
async def test_an_answer_without_usage_ends_well_and_has_none(provider):
    async with serving(Reply(text=("Once",), usage=None)) as server:
        answer, error = await ask(server, provider)
    assert (error, answer.done) == (None, Done("stop"))


async def test_the_connection_of_an_answer_read_to_its_end_serves_the_next():
    async with serving(Reply(text=("Once",))) as server:
        providers = Providers(SystemClock(), LONG, allow_private=True)
        for provider in REMOTE * 2:
            _ = [event async for event in providers.stream(call(provider, server), KEY)]
        await providers.close()
    assert (len(server.asked), server.connections) == (6, 1)


FAULTS = {
    "refused": ("cut", True),
    "not_http": ("cut", True),
    "silent": ("silent", True),
    "slow_start": ("silent", True),
    "pings": ("silent", True),
    "stall": ("stalled", True),
    "reset": ("cut", True),
    "cut": ("cut", True),
    "no_end": ("cut", True),
    "malformed": ("malformed", True),
    "wrong_shape": ("malformed", True),
    "number_for_text": ("malformed", True),
    "packed": ("malformed", True),
    "rate_limited": ("rate_limited", False),
    "overloaded": ("overloaded", False),
    "echo_key_500": ("overloaded", False),
    "told_overloaded": ("overloaded", True),
    "told_echo_key": ("overloaded", True),
}
REFUSALS = {
    "no_money": ("quota", False),
    "echo_key": ("credentials", False),
    "echo_half_key": ("request", False),
    "redirect": ("address", False),
    "told_wrong": ("request", True),
    "endless": ("too_large", True),
}
TIMED = {"silent", "slow_start", "pings", "stall"}
HALFWAY = {"stall", "reset", "cut", "no_end", "malformed", "wrong_shape", "told_overloaded", "told_echo_key"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("provider", REMOTE)
async def test_a_provider_that_breaks_ends_the_call_and_may_be_asked_again(provider, fault, caplog):
    caplog.set_level(logging.DEBUG)
    async with serving(fault) as server:
        answer, error = await fails(server, provider, SHORT if fault in TIMED else LONG)
    assert isinstance(error, ProviderUnavailable)
    assert (error.reason, error.billed, error.retryable) == (*FAULTS[fault], True)
    assert len(server.asked) == 1
    assert (answer.text != "") == (fault in HALFWAY)
    assert answer.done is None
    assert KEY not in caplog.text


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("provider", REMOTE)
async def test_a_provider_that_refuses_is_not_to_be_asked_again(provider, fault, caplog):
    caplog.set_level(logging.DEBUG)
    async with serving(fault) as server:
        _, error = await fails(server, provider)
    assert isinstance(error, ProviderRejected)
    assert (error.reason, error.billed, error.retryable) == (*REFUSALS[fault], False)
    assert len(server.asked) == 1
    assert KEY not in caplog.text
    assert KEY[: len(KEY) // 2] not in error.detail


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_provider_says_when_to_come_back(provider):
    async with serving("rate_limited", "overloaded", "told_overloaded") as server:
        errors = [(await fails(server, provider))[1] for _ in range(3)]
    assert [error.retry_after_s for error in errors] == [7.0, 1.5, None]
    assert errors[0].detail == "The model provider answered 429 (rate_limit_error): Slow down."


@pytest.mark.parametrize("provider", REMOTE)
async def test_an_answer_that_never_ends_is_bounded_in_all(provider):
    async with serving(Reply(text=("on and ",) * 10_000, delay_s=0.01)) as server:
        answer, error = await fails(server, provider, Bounds(total_s=1.0))
        await server.hung_up.wait()
    assert (error.reason, error.billed) == ("too_long", True)
    assert answer.text.startswith("on and ")


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_reader_that_leaves_ends_the_request(provider):
    async with serving(Reply(text=("on and ",) * 10_000, delay_s=0.01)) as server:
        providers = Providers(SystemClock(), LONG, allow_private=True)
        async with aclosing(providers.stream(call(provider, server), KEY)) as events:
            assert await anext(events) == TextDelta("on and ")
        await server.hung_up.wait()
        await providers.close()


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_cancelled_reader_ends_the_request(provider):
    async with serving(Reply(text=("on and ",) * 10_000, delay_s=0.01)) as server:
        reading = asyncio.create_task(ask(server, provider))
        await until(lambda: server.asked)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await server.hung_up.wait()


@pytest.mark.parametrize("provider", REMOTE)
async def test_nobody_there_is_unavailable_and_costs_nothing(provider):
    server = ModelServer()
    with kept() as server.port:
        _, error = await fails(server, provider)
    assert (error.reason, error.billed) == ("unreached", False)


@pytest.mark.parametrize(
    "base_url", ["http://169.254.169.254/v1", "http://127.0.0.1:1/v1", "ftp://x/", "http://[::1]/"]
)
@pytest.mark.parametrize("provider", REMOTE)
async def test_a_tenants_address_leads_nowhere_inside(provider, base_url):
    providers = Providers(SystemClock(), LONG, allow_private=False)
    with pytest.raises(ProviderRejected) as refused:
        _ = [event async for event in providers.stream(call(provider, base_url=base_url), KEY)]
    await providers.close()
    assert (refused.value.reason, refused.value.billed) == ("address", False)


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_name_that_resolves_to_the_inside_is_not_connected_to(provider):
    async def inside(host, port):
        return ["10.0.0.7"]

    providers = Providers(SystemClock(), LONG, resolver=inside)
    with pytest.raises(ProviderRejected) as refused:
        _ = [event async for event in providers.stream(call(provider, base_url="https://models.example/v1"), KEY)]
    await providers.close()
    assert refused.value.reason == "address"


@pytest.mark.parametrize("provider", REMOTE)
async def test_the_servers_own_environment_is_not_told_to_anybody(provider, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "of-the-server")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.example/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://elsewhere.example")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-mine: of-the-server")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-mine: of-the-server")
    async with serving(Reply(text=("Once",))) as server:
        assert (await ask(server, provider, secret=None))[1] is None
    told = server.asked[0].headers
    assert "of-the-server" not in repr(told)
    assert "authorization" not in told
    assert told["user-agent"].startswith("Runwright/")
    assert [name for name in told if name.startswith(("x-stainless", "openai-"))] == []


CONVERSATION = (
    Message("user", (Text("What is this?"), Image("image/png", b"\x89PNG"))),
    Message("assistant", (Text("Let me look."), ToolCall("call_1", "clock", '{"zone":"UTC"}'))),
    Message("tool", (ToolResult("call_1", "noon", failed=True),)),
    Message("user", (Text("And now?"),)),
)


async def body_of(provider, **changes):
    given = {"messages": CONVERSATION, "system": "Be brief.", "tools": (CLOCK,), "temperature": 0.5}
    async with serving(Reply(text=("Once",))) as server:
        assert (await ask(server, provider, **{**given, **changes}))[1] is None
    return server.asked[0].body


async def test_chat_completions_are_asked_in_their_words():
    assert await body_of("openai-compatible", stop=("END",), tool_choice=OnlyTool("clock")) == {
        "model": "model-1",
        "max_tokens": 100,
        "temperature": 0.5,
        "stop": ["END"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {"name": "clock", "description": "Tells the time.", "parameters": CLOCK.schema},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "clock"}},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                ],
            },
            {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": '{"zone":"UTC"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
            {"role": "user", "content": "And now?"},
        ],
    }


async def test_responses_are_asked_in_their_words():
    assert await body_of("openai", tool_choice="required") == {
        "model": "model-1",
        "instructions": "Be brief.",
        "max_output_tokens": 100,
        "temperature": 0.5,
        "store": False,
        "stream": True,
        "tools": [
            {
                "type": "function",
                "name": "clock",
                "description": "Tells the time.",
                "parameters": CLOCK.schema,
                "strict": False,
            }
        ],
        "tool_choice": "required",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "auto"},
                ],
            },
            {"type": "message", "role": "assistant", "content": "Let me look."},
            {"type": "function_call", "call_id": "call_1", "name": "clock", "arguments": '{"zone":"UTC"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "noon"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And now?"}]},
        ],
    }


async def test_messages_are_asked_in_their_words():
    assert await body_of("anthropic", stop=("END",), tool_choice="required") == {
        "model": "model-1",
        "system": "Be brief.",
        "max_tokens": 100,
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "stream": True,
        "tools": [{"name": "clock", "description": "Tells the time.", "input_schema": CLOCK.schema}],
        "tool_choice": {"type": "any"},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me look."},
                    {"type": "tool_use", "id": "call_1", "name": "clock", "input": {"zone": "UTC"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "noon", "is_error": True},
                    {"type": "text", "text": "And now?"},
                ],
            },
        ],
    }


async def test_a_stop_text_that_a_provider_does_not_know_is_refused_before_it_is_asked():
    async with serving() as server:
        answer, error = await ask(server, "openai", stop=("END",))
    assert isinstance(error, ProviderRejected)
    assert (error.reason, server.asked, answer.empty) == ("unsupported", [], True)
