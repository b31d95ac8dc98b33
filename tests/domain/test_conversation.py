"""The log alone tells where a conversation stands, and what comes next: whoever goes on does what was left to do."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain import next_step as n
from runwright.domain.agent_terms import Budget
from runwright.domain.conversation import fold
from runwright.domain.model_call import Message, Text, ToolCall, ToolResult
from tests.domain.conversing import TERMS, Answer, Play

SAFE = ("look", "put")
UNSAFE = ("send", "pay")


def calling(name: str, ident: str, /, **arguments: str) -> ToolCall:
    return ToolCall(ident, name, msgspec.json.encode(arguments).decode())


@st.composite
def scripts(draw: st.DrawFn, tools: tuple[str, ...] = (*SAFE, "ask_user")) -> list[Answer]:
    """Draw a conversation: turns with calls of tools, and a last word; some calls of the model fail first."""
    turns = draw(st.integers(0, 3))
    script = []
    for turn in range(turns):
        names = draw(st.lists(st.sampled_from([*tools, "nonsense"]), min_size=1, max_size=3))
        calls = tuple(
            calling(name, f"t{turn}-{place}", **({"question": "Why?"} if name == "ask_user" else {"name": f"n{place}"}))
            for place, name in enumerate(names)
        )
        script.append(Answer(f"turn {turn}", calls, draw(st.integers(0, 1))))
    return [*script, Answer("The end.", failures=draw(st.integers(0, 2)))]


moments = st.lists(st.integers(1, 60), max_size=5, unique=True)


def told(play: Play, type: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event.data or b"") for event in play.events if event.type == type]


def contents(play: Play) -> list[ToolResult]:
    return [part for message in play.talk.messages for part in message.parts if isinstance(part, ToolResult)]


# --- whatever happens -------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(scripts(), moments)
def test_a_conversation_whose_worker_is_lost_reads_as_if_it_never_had_been(script, lost_at):
    undisturbed = Play(script).run()
    disturbed = Play(script, lost_at=lost_at).run()
    assert disturbed.talk.messages == undisturbed.talk.messages
    assert disturbed.end == undisturbed.end == n.Finish("The end.")
    assert disturbed.prompts[-1] == undisturbed.prompts[-1]


@settings(max_examples=40, deadline=None)
@given(scripts((*SAFE, *UNSAFE)), moments)
def test_no_unsafe_call_is_begun_twice_and_none_is_forgotten(script, lost_at):
    play = Play(script, lost_at=lost_at).run()
    effects = Counter(play.effects)
    for call in (call for answer in script for call in answer.calls if call.name in UNSAFE):
        (result,) = [each for each in contents(play) if each.tool_call_id == call.id]
        unknown = n.OUTCOME_UNKNOWN in result.content
        assert effects[call.id] == 1 or (unknown and effects[call.id] == 0)
    assert len(contents(play)) == sum(len(answer.calls) for answer in script)


@settings(max_examples=40, deadline=None)
@given(scripts(), moments)
def test_each_reservation_is_settled_exactly_once(script, lost_at):
    play = Play(script, lost_at=lost_at).run()
    reserved = {each["llm_call_id"]: each["reserved_microusd"] for each in told(play, "llm.request")}
    settled = told(play, "usage.recorded")
    assert Counter(each["llm_call_id"] for each in settled) == Counter(dict.fromkeys(reserved, 1))
    assert all(each["cost_microusd"] == reserved[each["llm_call_id"]] for each in settled if each["estimated"])
    assert play.talk.spent.cost_microusd == sum(each["cost_microusd"] for each in settled)
    assert play.talk.open is None


@settings(max_examples=40, deadline=None)
@given(scripts(), moments, moments)
def test_a_log_folds_the_same_in_two_parts(script, lost_at, said_at):
    play = Play(script, lost_at=lost_at, said_at=said_at).run()
    for cut in range(0, len(play.events) + 1, 3):
        before = fold(play.events[:cut], answers=play._answers)
        assert fold(play.events[cut:], before, play._answers) == play.talk


@settings(max_examples=40, deadline=None)
@given(scripts(), moments, moments)
def test_what_is_said_by_the_way_is_heard_once_in_order_and_before_the_end(script, lost_at, said_at):
    play = Play(script, lost_at=lost_at, said_at=said_at).run()
    said = [each["content"] for each in told(play, "run.input_received") if each["mode"] == "steer"]
    heard = [message.text for message in play.talk.messages if message.role == "user"]
    assert heard == said
    assert not play.talk.heard
    assert [m.text for m in play.prompts[-1].messages if m.role == "user"][1:] == said


@settings(max_examples=40, deadline=None)
@given(scripts(), moments, st.integers(300, 4000), st.sampled_from(["fail", "ask"]), st.sampled_from(["yes", "no"]))
def test_no_limit_is_passed_and_each_is_warned_of_once(script, lost_at, limit, on_exceeded, answer):
    budget = Budget(cost_microusd=limit, tokens=limit, turns=3, tool_calls=4, on_exceeded=on_exceeded)
    play = Play(script, budget=budget, lost_at=lost_at, answer=answer).run()
    granted, spent = Counter(play.talk.granted), play.talk.spent
    for name in ("cost_microusd", "tokens", "turns", "tool_calls"):
        assert getattr(spent, name) <= getattr(budget, name) * (1 + granted[name])
        warned = [each for each in told(play, "budget.warning") if each["limit_name"] == name]
        assert len({each["limit"] for each in warned}) == len(warned)
    over = told(play, "budget.exhausted")
    assert isinstance(play.end, n.Fail) == (len(over) > len(play.talk.granted))


@settings(max_examples=40, deadline=None)
@given(scripts(), moments)
def test_what_was_shown_of_an_answer_is_reset_before_it_is_said_again(script, lost_at):
    play = Play(script, lost_at=lost_at).run()
    shown: dict[object, str] = {}
    for event in play.events:
        data = msgspec.json.decode(event.data or b"")
        if event.type == "message.delta":
            shown[data["segment_id"]] = shown.get(data["segment_id"], "") + data["content"]
        elif event.type == "message.reset":
            del shown[data["segment_id"]]
    assert list(shown.values()) == [m.text for m in play.talk.messages if m.role == "assistant"]


# --- one by one -------------------------------------------------------------------------------------------------------


def test_results_stand_in_the_order_of_their_calls():
    calls = (calling("look", "a"), calling("look", "b"))
    talk = Play([Answer("", calls), Answer("Done.")]).run()
    by_id = {msgspec.json.decode(e.data or b"")["tool_call_id"]: e for e in talk.events if e.type == "tool.result"}
    places = [place for place, event in enumerate(talk.events) if event.type == "tool.result"]
    swapped = list(talk.events)
    swapped[places[0]], swapped[places[1]] = by_id["b"], by_id["a"]
    assert fold(swapped).messages == talk.talk.messages


def test_a_call_that_a_person_denies_is_not_made_and_the_model_hears_why():
    script = [Answer("", (calling("pay", "p"),)), Answer("Then not.")]
    play = Play(script, answer='{"decision": "deny", "comment": "too dear"}').run()
    assert play.effects == []
    assert contents(play) == [ToolResult("p", "tool.denied: too dear", failed=True)]


def test_a_call_is_made_with_the_arguments_that_a_person_gives_and_the_model_hears_it():
    script = [Answer("", (calling("pay", "p", name="all"),)), Answer("Well.")]
    play = Play(script, answer='{"decision": "approve", "arguments": {"name": "half"}}').run()
    (begun,) = told(play, "tool.call")
    assert begun["arguments"] == {"name": "half"}
    (result,) = contents(play)
    assert result.content == "(a person changed the arguments to {\"name\":\"half\"})\ndone {'name': 'half'}"


def test_arguments_that_a_person_gives_are_still_judged():
    script = [Answer("", (calling("pay", "p", name="all"),)), Answer("Well.")]
    play = Play(script, answer='{"decision": "approve", "arguments": {"sum": 5}}').run()
    assert play.effects == []
    assert contents(play)[0].content.startswith("tool.arguments_invalid: ")


def test_what_a_person_answers_is_the_result_of_the_question():
    script = [Answer("", (calling("ask_user", "q", question="Which?"),)), Answer("Good.")]
    play = Play(script, answer="The red one").run()
    assert contents(play) == [ToolResult("q", "The red one")]
    assert [each["prompt"] for each in told(play, "run.waiting_for_input")] == ["Which?"]


def test_calls_before_a_question_are_made_before_it_and_those_behind_it_after():
    calls = (calling("look", "a"), calling("ask_user", "q", question="Which?"), calling("put", "b"))
    play = Play([Answer("", calls), Answer("Good.")]).run()
    kinds = [event.type for event in play.events if event.type in ("tool.result", "run.waiting_for_input")]
    assert kinds == ["tool.result", "run.waiting_for_input", "tool.result", "tool.result"]
    assert play.effects == ["a", "b"]


def test_a_person_may_let_a_run_go_on_that_used_its_budget_up():
    budget = Budget(turns=1, on_exceeded="ask")
    script = [Answer("", (calling("look", "a"),)), Answer("The end.")]
    assert Play(script, budget=budget, answer="yes").run().end == n.Finish("The end.")
    refused = Play(script, budget=budget, answer="no").run()
    assert isinstance(refused.end, n.Fail)
    assert (refused.end.reason, refused.end.code) == ("budget", n.EXHAUSTED)


def test_an_output_is_cut_to_what_the_money_is_enough_for():
    play = Play([Answer("Short.")], budget=Budget(cost_microusd=900)).run()
    (request,) = told(play, "llm.request")
    assert request["max_output_tokens"] < TERMS.max_output_tokens
    assert request["reserved_microusd"] in (899, 900)


def test_what_the_provider_counted_of_a_prompt_is_not_reserved_by_its_bytes_again():
    script = [Answer("x" * 200, (calling("look", "a"),)), Answer("y" * 200, (calling("look", "b"),)), Answer("Done.")]
    (first, *_) = Play(script).run().prompts
    limit = first.input_tokens_at_most() + 500
    play = Play(script, budget=Budget(tokens=limit)).run()
    assert play.end == n.Finish("Done.")
    most = [request["input_tokens_at_most"] for request in told(play, "llm.request")]
    assert most[0] > most[1] == most[2], "ten tokens, as the provider said, and what came since"
    assert play.prompts[2].input_tokens_at_most() > limit - play.talk.spent.tokens


def test_a_limit_of_money_needs_a_price():
    terms = msgspec.structs.replace(TERMS, price=None)
    play = Play([Answer("Never.")], terms=terms, budget=Budget(cost_microusd=10**9)).run()
    assert isinstance(play.end, n.Fail)
    assert play.end.code == n.UNPRICED
    assert play.prompts == []


def test_what_a_run_waits_does_not_count_as_time_that_it_executes():
    play = Play([Answer("", (calling("ask_user", "q", question="Which?"),)), Answer("Good.")]).run()
    waits = next(place for place, event in enumerate(play.events) if event.type == "run.waiting_for_input")
    day = 86_400_000_000
    later = [
        msgspec.structs.replace(e, created_at=e.created_at + (day if e.seq > waits + 1 else 0)) for e in play.events
    ]
    assert fold(later).executed_us(play.now + day) == play.talk.executed_us(play.now)


@pytest.mark.parametrize("history", [(), (Message("assistant", (Text("Once upon a time."),)),)])
def test_where_nobody_spoke_before_it_the_model_is_asked_to_begin_in_every_turn(history):
    play = Play([Answer("", (calling("look", "a"),)), Answer("Done.")])
    play.stage = msgspec.structs.replace(play.stage, history=history)
    first, second = play.run().prompts
    begins = Message("user", (Text(n.BEGIN),))
    assert first.messages == (begins, *history)
    assert second.messages[: len(first.messages)] == first.messages
    assert [message.role for message in second.messages[len(first.messages) :]] == ["assistant", "tool"]


@pytest.mark.parametrize("type", ["llm.request", "tool.result", "usage.recorded", "run.input_received"])
def test_data_that_were_erased_are_passed_over(type):
    play = Play([Answer("", (calling("look", "a"),)), Answer("Done.")]).run()
    erased = [msgspec.structs.replace(e, data=None) if e.type == type else e for e in play.events]
    assert fold(erased).seq == len(erased)
