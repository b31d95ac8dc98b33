"""A model is told what its context takes: whole turns, the run's own always, and the provider's count corrects ours."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain import next_step as n
from runwright.domain.context_window import LEAST_OUTPUT, Fit, Overlong, Size, fit
from runwright.domain.model_call import Counted, Image, Message, Text, Tool, ToolCall, ToolResult
from tests.domain.conversing import TERMS, Answer, Play


def said(role: Any, words: int) -> Message:
    return Message(role, (Text("abc " * words),))


def turns(count: int, words: int) -> list[Message]:
    return [said(role, words) for _ in range(count) for role in ("user", "assistant")]


messages = st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), st.integers(1, 200)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(messages, st.integers(1, 400), st.integers(200, 4000), st.integers(1, 600), st.integers(0, 5))
def test_whatever_was_said_the_prompt_fits_or_the_run_is_told_that_it_cannot(before, own, window, output, left_out):
    given_ = [Message("user", (Text("Hello"),)), *(said(role, words) for role, words in before), said("user", own)]
    turn, left_out = len(given_) - 1, min(left_out, len(given_) - 1)
    size = Size("You are kind.", (), given_)
    found = fit(size, given_, left_out, turn, window, output)
    if isinstance(found, Overlong):
        assert size.tokens(turn) + min(LEAST_OUTPUT, output) > window
        return
    assert left_out <= found.left_out <= turn
    assert found.left_out == left_out or given_[found.left_out].role == "user"
    assert size.tokens(found.left_out) + found.max_output_tokens <= window
    assert 1 <= found.max_output_tokens <= output


def test_nothing_is_left_out_of_what_fits():
    said_ = turns(3, 10)
    assert fit(Size("", (), said_), said_, 0, 4, 1000, 100) == Fit(0, 100)


def test_the_oldest_turns_are_left_out_and_a_quarter_of_the_room_is_free_then():
    said_ = [*turns(20, 40), said("user", 10)]
    size = Size("", (), said_)
    found = fit(size, said_, 0, 40, 1100, 100)
    assert isinstance(found, Fit)
    assert found.left_out > 0
    assert size.tokens(found.left_out) <= 750 < size.tokens(found.left_out - 2)


def test_the_answer_gets_less_room_before_the_question_is_given_up():
    said_ = [said("user", 300)]
    size = Size("", (), said_)
    window = size.tokens(0) + 300
    assert fit(size, said_, 0, 0, window, 1000) == Fit(0, 300)
    assert fit(size, said_, 0, 0, window - 100, 1000) == Overlong(size.tokens(0))


def test_what_the_provider_counted_corrects_what_is_estimated():
    said_ = [*turns(4, 100), said("user", 10)]
    estimated = Size("", (), said_)
    counted = Size("", (), said_, Counted(messages=8, tokens=2 * (estimated.tokens(0) - 26)))
    assert counted.tokens(0) == 2 * (estimated.tokens(0) - 26) + 26
    assert counted.tokens(4) > 1.9 * estimated.tokens(4)


def test_every_part_of_a_message_counts():
    parts = (Text("a" * 40), Image("image/png", b""), ToolCall("t1", "shell", "{}" * 20), ToolResult("t1", "b" * 40))
    for part in parts:
        assert Size("", (), [Message("user", (part,))]).tokens(0) > Size("", (), [Message("user", ())]).tokens(0)
    tool = Tool("shell", "runs commands", {"type": "object"})
    assert Size("", (tool,), []).tokens(0) > Size("", (), []).tokens(0)
    assert Size("漢字" * 30, (), []).tokens(0) > Size("ab" * 30, (), []).tokens(0)


# --- in the play of a run ---------------------------------------------------------------------------------------------


def long_talk(window: int, **changes: object) -> Play:
    history = (*turns(10, 50), said("user", 20))
    play = Play([Answer("Once upon a time.")], terms=msgspec.structs.replace(TERMS, context_window=window))
    play.stage = msgspec.structs.replace(play.stage, history=history, **changes)
    return play


def test_a_run_in_a_long_thread_is_told_its_last_turns_and_the_log_says_what_was_left_out():
    play = long_talk(800).run()
    assert play.end == n.Finish("Once upon a time.")
    (call,) = play.prompts
    assert 0 < call.left_out < 20
    assert call.messages == play.stage.history[call.left_out :]
    (request,) = [msgspec.json.decode(each.data or b"") for each in play.events if each.type == "llm.request"]
    assert request["left_out"] == call.left_out
    assert play.talk.left_out == call.left_out


def test_a_run_whose_own_words_do_not_fit_fails_and_says_why():
    play = long_talk(1200)
    play.stage = msgspec.structs.replace(play.stage, history=(*play.stage.history, said("user", 3000)))
    play.run()
    assert isinstance(play.end, n.Fail)
    assert (play.end.code, play.end.error_class) == ("context.too_long", "ContextExceeded")
    assert "1200" in play.end.message
    assert play.prompts == []


def test_several_words_of_a_user_in_a_row_are_one_turn():
    play = long_talk(400)
    play.stage = msgspec.structs.replace(play.stage, history=(*turns(10, 50), said("user", 21), said("user", 22)))
    play.run()
    assert play.prompts[0].messages == play.stage.history[20:]


def test_what_was_left_out_stays_left_out_and_is_not_counted_twice():
    script = [Answer("I look.", (ToolCall("t1", "look", '{"name": "a"}'),)), Answer("Done.")]
    play = Play(script, terms=msgspec.structs.replace(TERMS, context_window=900))
    play.stage = msgspec.structs.replace(play.stage, history=(*turns(10, 50), said("user", 20)))
    play.run()
    first, second = play.prompts
    assert first.left_out == second.left_out > 0
    assert second.messages[: len(first.messages)] == first.messages
    requests = [msgspec.json.decode(each.data or b"") for each in play.events if each.type == "llm.request"]
    # The provider counted ten tokens of the first prompt: the second has those, and what came since, byte by byte.
    since = second.input_tokens_at_most() - first.input_tokens_at_most()
    assert requests[1]["input_tokens_at_most"] == 10 + since
