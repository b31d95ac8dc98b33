"""What becomes of the calls that models make, by what the tools say of themselves and by the rules of a persona."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.agent_terms import AgentTerms
from runwright.domain.json_schema import BadSchema
from runwright.domain.model_call import ToolCall
from runwright.domain.tools import RISKS, Action, Ask, Catalogue, Confirm, Ready, Refused, ToolRules, ToolSpec

_OBJECT = {"type": "object", "additionalProperties": False}
ASK = ToolSpec(
    name="ask_user",
    description="",
    schema=_OBJECT | {"properties": {"question": {"type": "string"}, "schema": {}}, "required": ["question"]},
    actions={"": Action("low", "read_only")},
)
DOORS = ToolSpec(
    name="doors",
    description="",
    schema=_OBJECT
    | {
        "properties": {
            "do": {"type": "string", "enum": ["look", "open", "blow_up"]},
            "which": {"type": "integer", "minimum": 1},
            "charge": {"type": "string"},
            "timeout_s": {"type": "number", "exclusiveMinimum": 0, "maximum": 600},
        },
        "required": ["do"],
    },
    actions={
        "look": Action("low", "read_only", (), ("which", "timeout_s")),
        "open": Action("medium", "idempotent", ("which",), ()),
        "blow_up": Action("high", "unsafe", ("which", "charge"), ()),
    },
    by="do",
)
CATALOGUE = Catalogue([ASK, DOORS])
FREE = ToolRules()


def decide(arguments: object, rules: ToolRules = FREE, name: str = "doors") -> Any:
    """Return what becomes of a call with arguments, given as text or as what becomes one."""
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return CATALOGUE.decide(ToolCall("call_1", name, text), rules)


def test_a_call_that_nothing_speaks_against_may_be_made():
    assert decide({"do": "open", "which": 3}) == Ready(
        tool_call_id="call_1",
        tool="doors",
        arguments={"do": "open", "which": 3},
        action="open",
        risk="medium",
        effect="idempotent",
        timeout_s=120.0,
    )


def test_a_call_says_how_long_it_may_take_where_the_schema_lets_it():
    assert decide({"do": "look", "timeout_s": 7}).timeout_s == 7.0
    assert decide({"do": "look", "timeout_s": 7000}).code == "tool.arguments_invalid"


WRONG = {
    "cut": ("{", "no JSON"),
    "a list": ("[1]", "must be a JSON object"),
    "deep": ("[" * 100_000, "no JSON"),
    "a lone surrogate": ('{"do": "\ud800"}', "no JSON"),
    "none": ("", "do"),
    "another action": ({"do": "sing"}, "do"),
    "an action of another type": ({"do": ["look"]}, "do"),
    "one that is missing": ({"do": "open"}, "which: is needed by open"),
    "out of bounds": ({"do": "open", "which": 0}, "which"),
    "one of another action": ({"do": "open", "which": 1, "charge": "x"}, "charge: is nothing that open takes"),
    "unknown": ({"do": "open", "which": 1, "colour": "red"}, "colour"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_told_to_the_model(arguments: object, said: str):
    refused = decide(arguments)
    assert isinstance(refused, Refused), refused
    assert refused.code == "tool.arguments_invalid"
    assert said in refused.message


def test_arguments_beyond_measure_are_refused_unread():
    assert "more than 1048576 bytes" in decide('{"do": "' + "x" * (1 << 20) + '"}').message


def test_an_unknown_tool_is_refused_with_the_names_of_those_that_there_are():
    refused = decide({}, ToolRules(deny=("ask_user",)), "dors")
    assert (refused.code, refused.message) == ("tool.unknown", "there is no tool of this name; there are: doors")


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (ToolRules(), {"ask_user:", "doors:look", "doors:open", "doors:blow_up"}),
        (ToolRules(allow=()), set()),
        (ToolRules(allow=("doors",)), {"doors:look", "doors:open", "doors:blow_up"}),
        (ToolRules(allow=("doors:look", "ask_user")), {"ask_user:", "doors:look"}),
        (ToolRules(deny=("doors:blow_up",)), {"ask_user:", "doors:look", "doors:open"}),
        (ToolRules(allow=("doors",), deny=("doors",)), set()),
        (ToolRules(allow=("doors:open",), deny=("doors",)), set()),
    ],
    ids=["no rules", "nothing", "a tool", "an action", "but an action", "nothing after all", "denied as a whole"],
)
def test_what_is_allowed_and_not_denied_may_be_asked_for_and_nothing_else_is_offered(rules, allowed):
    calls = {
        "ask_user:": ("ask_user", {"question": "Really?"}),
        "doors:look": ("doors", {"do": "look"}),
        "doors:open": ("doors", {"do": "open", "which": 1}),
        "doors:blow_up": ("doors", {"do": "blow_up", "which": 1, "charge": "big"}),
    }
    decided = {name: decide(arguments, rules, tool) for name, (tool, arguments) in calls.items()}
    assert {name for name, each in decided.items() if not isinstance(each, Refused)} == allowed
    assert {each.code for each in decided.values() if isinstance(each, Refused)} <= {"tool.not_allowed"}
    offered = {
        f"{tool.name}:{action}"
        for tool in CATALOGUE.offered(rules)
        for action in tool.schema["properties"].get("do", {"enum": [""]})["enum"]
    }
    assert offered == allowed


def test_the_rules_of_a_run_are_those_it_was_created_with():
    terms = AgentTerms(
        thread_id="t",
        persona_id="p@1",
        route_id="r",
        provider="local",
        model="m",
        tools=("http",),
        risk_threshold="high",
    )
    assert ToolRules.of(terms) == ToolRules(allow=("http",), confirm_at="high")


def test_rules_that_name_what_there_is_not_are_found():
    rules = ToolRules(allow=("doors", "doors:look", "dors"), deny=("doors:sing", "ask_user"))
    assert CATALOGUE.unknown(rules) == ["dors", "doors:sing"]


@given(st.sampled_from([*RISKS, None]), st.sampled_from(["look", "open", "blow_up"]))
def test_from_the_threshold_on_a_person_decides(threshold, action):
    arguments = {"do": action} | ({} if action == "look" else {"which": 1})
    decided = decide(arguments | ({"charge": "x"} if action == "blow_up" else {}), ToolRules(confirm_at=threshold))
    risk = RISKS.index(DOORS.actions[action].risk)
    assert isinstance(decided, Confirm) == (threshold is not None and risk >= RISKS.index(threshold))


def test_what_a_person_approved_may_be_made_with_other_arguments_but_not_with_wrong_or_denied_ones():
    rules = ToolRules(deny=("doors:blow_up",), confirm_at="medium")
    call = ToolCall("call_1", "doors", '{"do": "open", "which": 3}')
    assert isinstance(CATALOGUE.decide(call, rules), Confirm)

    def confirmed(arguments: dict[str, Any] | None) -> Any:
        return CATALOGUE.confirmed(call, arguments, rules)

    assert confirmed(None).arguments == {"do": "open", "which": 3}
    assert confirmed({"do": "open", "which": 4}).arguments == {"do": "open", "which": 4}
    assert confirmed({"do": "open"}).code == "tool.arguments_invalid"
    assert confirmed({"do": "blow_up", "which": 1, "charge": "x"}).code == "tool.not_allowed"


def test_a_question_is_put_to_a_person_at_any_threshold():
    form = {"type": "object", "properties": {"name": {"type": "string"}}}
    asked = decide({"question": "Who?", "schema": form}, ToolRules(confirm_at="low"), "ask_user")
    assert isinstance(asked, Ask)
    assert (asked.prompt, asked.schema) == ("Who?", form)
    assert decide({"question": "Who?"}, name="ask_user").schema is None
    assert decide({"question": "Who?", "schema": {"type": "nothing"}}, name="ask_user").code == "tool.arguments_invalid"


def test_only_calls_that_change_nothing_run_beside_others_and_only_unsafe_ones_are_not_repeated():
    calls = [decide({"do": "look"}), decide({"do": "open", "which": 1})]
    calls.append(decide({"do": "blow_up", "which": 1, "charge": "x"}))
    assert [(call.parallel, call.repeatable) for call in calls] == [(True, True), (False, True), (False, False)]


def test_equal_arguments_have_one_digest_however_they_are_written():
    one, other = decide('{"do": "open", "which": 1}'), decide('{ "which":1, "do":"open" }')
    assert one.args_sha256 == other.args_sha256 != decide({"do": "open", "which": 2}).args_sha256


def test_a_catalogue_refuses_two_of_one_name_and_a_schema_that_is_none():
    with pytest.raises(ValueError, match="two tools"):
        Catalogue([DOORS, DOORS])
    with pytest.raises(BadSchema):
        Catalogue([msgspec.structs.replace(DOORS, schema={"type": "door"})])
