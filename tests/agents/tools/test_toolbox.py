"""The tools that come with Runwright, as personas and models know them."""

from runwright.agents.tools.toolbox import SPECS
from runwright.domain.agent_terms import TOOLS
from runwright.domain.tools import Catalogue, ToolRules


def test_there_are_the_tools_that_a_persona_may_name_and_no_others():
    assert {spec.name for spec in SPECS} == set(TOOLS)


def test_every_tool_is_offered_with_an_object_that_says_what_each_argument_is():
    for tool in Catalogue(SPECS).offered(ToolRules()):
        assert tool.description
        assert (tool.schema["type"], tool.schema["additionalProperties"]) == ("object", False)
        assert not {"oneOf", "anyOf", "allOf"} & set(tool.schema), "some providers take none of them at the top"
        assert set(tool.schema["required"]) <= set(tool.schema["properties"])


def test_every_action_needs_and_takes_arguments_that_there_are():
    for spec in SPECS:
        named = {name for action in spec.actions.values() for name in (*action.needs, *(action.takes or ()))}
        assert named <= set(spec.schema["properties"]), spec.name
        if spec.by:
            assert spec.schema["properties"][spec.by]["enum"] == list(spec.actions)
