import asyncio
import sys
from contextlib import aclosing

import msgspec
import pytest

from runwright.agents.providers.port import Bounds, LocalBounds
from runwright.agents.providers.registry import Providers
from runwright.clock import SystemClock
from runwright.domain.model_call import Answer, Image, Message, ModelCall, OnlyTool, Text, TextDelta, Tool
from runwright.errors import ProviderRejected, ProviderUnavailable

PATIENT = Bounds(first_s=100.0, idle_s=100.0)
SAY = Tool(
    "say",
    "Says a word.",
    {
        "type": "object",
        "properties": {"word": {"enum": ["yes", "no"]}},
        "required": ["word"],
        "additionalProperties": False,
    },
)


@pytest.fixture(scope="module")
async def models():
    """Load the model once."""
    providers = Providers(SystemClock(), PATIENT, LocalBounds(context=512, queue_max=2))
    yield providers
    await providers.close()


def call(text="Why is the sky blue?", **changes):
    given = {
        "provider": "local",
        "model": "smollm2-135m-instruct",
        "messages": (Message("user", (Text(text),)),),
        "max_output_tokens": 8,
        "temperature": 0.0,
    }
    return ModelCall(**{**given, **changes})


async def gather(models, asked):
    answer = Answer()
    pieces = 0
    async for event in models.stream(asked):
        pieces += isinstance(event, TextDelta)
        answer.add(event)
    return answer, pieces


async def test_a_real_model_streams_its_tokens_and_counts_them(models):
    answer, pieces = await gather(models, call())
    assert answer.text.strip()
    assert pieces > 1
    done = answer.done
    assert done is not None
    assert done.usage is not None
    assert (done.stop_reason, done.usage.output_tokens) == ("length", 8)
    assert done.usage.input_tokens > 10
    again = (await gather(models, call()))[0].done
    assert again is not None
    assert again.usage is not None
    assert again.usage.cached_tokens > 0


@pytest.mark.parametrize("choice", ["required", OnlyTool("say")])
async def test_an_action_that_is_demanded_fits_its_schema(models, choice):
    answer, pieces = await gather(models, call("Say yes.", tools=(SAY,), tool_choice=choice, max_output_tokens=100))
    assert pieces == 0
    (action,) = answer.tool_calls
    assert (action.id, action.name) == ("call_1", "say")
    assert msgspec.json.decode(action.arguments)["word"] in {"yes", "no"}
    assert answer.done is not None
    assert answer.done.stop_reason == "tools"


async def test_a_model_that_is_not_listened_to_stops_at_its_next_token(models):
    async with aclosing(models.stream(call("Tell a long story.", max_output_tokens=400))) as events:
        assert isinstance(await anext(events), TextDelta)
    answer, _ = await gather(models, call("Hi", max_output_tokens=2))
    assert answer.done is not None


async def test_the_queue_before_the_model_is_short(models):
    streams = [models.stream(call(max_output_tokens=300)) for _ in range(4)]
    begun = [asyncio.ensure_future(anext(stream)) for stream in streams]
    finished, _ = await asyncio.wait(begun, return_when=asyncio.FIRST_EXCEPTION)
    failures = [each.exception() for each in finished if each.exception() is not None]
    for each in begun:
        each.cancel()
    await asyncio.wait(begun)
    for stream in streams:
        await stream.aclose()
    (failure,) = failures
    assert isinstance(failure, ProviderUnavailable)
    assert (failure.reason, failure.billed, failure.retry_after_s) == ("busy", False, 5.0)


REFUSED = {
    "too long": (call("word " * 600), "RUNWRIGHT_LOCAL_MODEL_CONTEXT"),
    "another model": (call(model="gpt-4o"), "RUNWRIGHT_LOCAL_MODEL_PATH"),
    "an image": (call(messages=(Message("user", (Image("image/png", b"x"),)),)), "cannot see images"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_model_cannot_take_is_refused_in_words(models, case):
    asked, told = REFUSED[case]
    with pytest.raises(ProviderRejected, match=told):
        await gather(models, asked)


async def test_a_file_that_is_not_there_is_named(tmp_path):
    models = Providers(SystemClock(), PATIENT, LocalBounds(path=str(tmp_path / "none.gguf")))
    with pytest.raises(ProviderRejected, match=r"none\.gguf") as refused:
        await gather(models, call(model="mine"))
    await models.close()
    assert refused.value.reason == "not_installed"


@pytest.mark.parametrize(
    ("provider", "module", "extra"),
    [
        ("local", "xllamacpp", "local-model"),
        ("openai", "openai", "agents"),
        ("openai-compatible", "openai", "agents"),
        ("anthropic", "anthropic", "agents"),
    ],
)
async def test_an_extra_that_is_missing_is_named(monkeypatch, provider, module, extra):
    for name in [name for name in sys.modules if name.startswith("runwright.agents.providers.")]:
        if getattr(sys.modules[name], "__file__", "").endswith(
            ("local.py", "responses.py", "chat_completions.py", "openai_sdk.py", "anthropic_messages.py")
        ):
            monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    models = Providers(SystemClock(), PATIENT)
    with pytest.raises(ProviderRejected, match=rf"pip install 'runwright\[{extra}\]'") as refused:
        await gather(models, call(provider=provider, base_url=None))
    await models.close()
    assert refused.value.reason == "not_installed"
