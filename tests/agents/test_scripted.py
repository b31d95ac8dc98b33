import asyncio

import msgspec
import pytest

from runwright.agents.providers.port import Bounds, LocalBounds
from runwright.agents.providers.registry import Providers
from runwright.agents.providers.scripted import Script, Turn
from runwright.clock import FrozenClock, SystemClock
from runwright.config import Settings
from runwright.domain.model_call import Answer, Done, Message, ModelCall, Text, TextDelta, ToolCall, ToolResult, Usage
from runwright.errors import InvalidSettings, ProviderRejected

WHO = Message("user", (Text("Who are you?"),))
SAID = Message("assistant", (Text("A script."),))
SPENT = Usage(input_tokens=9, output_tokens=3, cached_tokens=4)
TALK = Script(
    turns=(
        Turn(thinking=("Hm",), text=("A ", "script."), usage=SPENT),
        Turn(text=("Look:",), tool_calls=(ToolCall("call_1", "clock", '{"zone":"UTC"}'),), usage=None),
    )
)


def call(*messages, **changes):
    given = {"provider": "scripted", "model": "talk", "messages": messages, "max_output_tokens": 100}
    return ModelCall(**{**given, **changes})


async def ask(asked, clock=None):
    providers = Providers(clock or SystemClock(), Bounds(), scripts={"talk": TALK})
    events = [event async for event in providers.stream(asked)]
    await providers.close()
    return events


async def test_the_turn_is_told_by_the_conversation_alone():
    first = [TextDelta("Hm", "thinking"), TextDelta("A "), TextDelta("script."), Done("stop", SPENT)]
    assert [await ask(call(WHO)), await ask(call(WHO))] == [first, first]
    answer = Answer()
    for event in await ask(call(WHO, SAID, WHO)):
        answer.add(event)
    assert answer.text == "Look:"
    assert answer.tool_calls == (ToolCall("call_1", "clock", '{"zone":"UTC"}'),)
    assert answer.done == Done("tools")


async def test_a_script_honours_the_limit_of_output_tokens():
    *events, done = await ask(call(WHO, max_output_tokens=2))
    assert events == [TextDelta("Hm", "thinking"), TextDelta("A ")]
    assert done == Done("length", Usage(input_tokens=9, output_tokens=2, cached_tokens=4))


async def test_a_conversation_longer_than_its_script_is_refused():
    with pytest.raises(ProviderRejected, match="has 2 turns"):
        await ask(call(WHO, SAID, WHO, SAID, WHO))
    with pytest.raises(ProviderRejected, match="no script 'other'"):
        await ask(call(WHO, model="other"))


async def test_the_echo_needs_no_script():
    result = Message("tool", (ToolResult("call_1", "noon UTC"),))
    answer = Answer()
    for event in await ask(call(WHO, SAID, result, model="echo")):
        answer.add(event)
    assert answer.text == "noon UTC"
    assert answer.done is not None
    assert answer.done.usage is not None
    assert answer.done.usage.output_tokens == 2


async def test_pieces_come_after_their_delay():
    clock = FrozenClock()
    slow = Script(turns=(Turn(text=("a", "b"), delay_s=5.0),))
    providers = Providers(clock, Bounds(), scripts={"slow": slow})
    events = providers.stream(call(WHO, model="slow"))
    begun = clock.monotonic()
    waiting = [clock.monotonic() - begun]
    async for event in ticking(clock, events):
        waiting.append(clock.monotonic() - begun)
        if isinstance(event, Done):
            break
    await providers.close()
    assert waiting[1:3] == [5.0, 10.0]


async def ticking(clock, events):
    """Move the clock on by a second whenever nothing else can happen."""
    while True:
        step = asyncio.ensure_future(anext(events, None))
        while not step.done():
            for _ in range(5):
                await asyncio.sleep(0)
            if not step.done():
                clock.advance(1.0)
        event = step.result()
        if event is None:
            return
        yield event


async def test_scripts_are_read_from_the_file_that_is_set(tmp_path):
    file = tmp_path / "scripts.json"
    file.write_bytes(msgspec.json.encode({"talk": TALK}))
    providers = Providers.of(SystemClock(), Settings(model_scripts=str(file)))
    events = [event async for event in providers.stream(call(WHO))]
    await providers.close()
    assert events[-1] == Done("stop", SPENT)


@pytest.mark.parametrize("text", ["", "[]", '{"talk":{"turns":[{"txt":["a"]}]}}', None])
async def test_a_file_that_holds_no_scripts_is_refused(tmp_path, text):
    file = tmp_path / "scripts.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InvalidSettings, match="RUNWRIGHT_MODEL_SCRIPTS"):
        Providers.of(SystemClock(), Settings(model_scripts=str(file)))


def test_every_limit_has_a_setting():
    settings = Settings(
        model_connect_s=1.0,
        model_first_s=2.0,
        model_idle_s=3.0,
        model_total_s=4.0,
        model_answer_max_bytes=5000,
        model_connections=6,
        model_keepalive_s=7.0,
        local_model_path="model.gguf",
        local_model_context=512,
        local_model_threads=3,
        local_model_queue_max=9,
    )
    assert Bounds.of(settings) == Bounds(
        connect_s=1.0, first_s=2.0, idle_s=3.0, total_s=4.0, answer_max_bytes=5000, connections=6, keepalive_s=7.0
    )
    assert LocalBounds.of(settings) == LocalBounds(path="model.gguf", context=512, threads=3, queue_max=9)
    assert (Bounds.of(Settings()), LocalBounds.of(Settings())) == (Bounds(), LocalBounds())
