import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ToolCallDelta,
    ToolResult,
    Usage,
    reported,
)

CALL = ModelCall(
    provider="scripted",
    model="m",
    system="Be brief.",
    max_output_tokens=100,
    tools=(Tool("clock", "Tells the time.", {"type": "object", "properties": {}}),),
    tool_choice=OnlyTool("clock"),
    messages=(
        Message("user", (Text("What time is it?"), Image("image/png", b"\x89PNG"))),
        Message("assistant", (Text("Let me look."), ToolCall("call_1", "clock", "{}"))),
        Message("tool", (ToolResult("call_1", "noon"),)),
    ),
)


def test_a_call_comes_back_from_json_as_it_was():
    assert msgspec.json.decode(msgspec.json.encode(CALL), type=ModelCall) == CALL


@given(st.text(max_size=200), st.text(max_size=200))
def test_more_tokens_are_reserved_than_a_prompt_has_bytes(system, text):
    call = ModelCall(
        provider="scripted", model="m", max_output_tokens=1, system=system, messages=(Message("user", (Text(text),)),)
    )
    assert call.input_tokens_at_most() > len(system.encode()) + len(text.encode())


def test_tools_images_calls_and_results_are_reserved_for():
    bare = msgspec.structs.replace(CALL, tools=(), messages=CALL.messages[:0])
    counts = [bare.input_tokens_at_most(), msgspec.structs.replace(CALL, tools=()).input_tokens_at_most()]
    assert counts[0] < counts[1] < CALL.input_tokens_at_most()


@given(st.lists(st.sampled_from([(0, "a"), (1, "b"), (0, "c"), (2, "")])))
def test_pieces_of_tool_calls_are_joined_by_their_index(pieces):
    answer = Answer()
    for index in range(3):
        answer.add(ToolCallDelta(index, f"call_{index}", f"tool_{index}"))
    for index, text in pieces:
        answer.add(ToolCallDelta(index, arguments=text))
    assert answer.tool_calls == tuple(
        ToolCall(f"call_{index}", f"tool_{index}", "".join(text for at, text in pieces if at == index) or "{}")
        for index in range(3)
    )


def test_thinking_is_no_part_of_the_text():
    answer = Answer()
    assert answer.empty
    for event in (TextDelta("Hm", "thinking"), TextDelta("No"), TextDelta("on."), Done("stop")):
        answer.add(event)
    assert (answer.text, answer.thinking, answer.done, answer.empty) == ("Noon.", "Hm", Done("stop"), False)


@pytest.mark.parametrize("count", [-1, None, "5", 1.5, True, 10**12])
def test_a_count_that_cannot_be_true_is_no_usage(count):
    assert reported(count, 1) is None
    assert reported(1, count) is None
    known = reported(7, 3, count, count)
    assert known is not None
    assert 0 <= known.cached_tokens <= 7
    assert 0 <= known.reasoning_tokens <= 3


def test_usages_add_up():
    one = Usage(input_tokens=1, output_tokens=2, cached_tokens=1, reasoning_tokens=2)
    assert one + one == Usage(input_tokens=2, output_tokens=4, cached_tokens=2, reasoning_tokens=4)


def test_the_text_of_a_message_is_its_words():
    assert CALL.messages[1].text == "Let me look."
