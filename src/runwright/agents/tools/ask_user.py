"""The tool `ask_user`: a question to the person behind the run. It is the loop's to ask it, so nothing is done here."""

from __future__ import annotations

from runwright.agents.tools.port import Fault, Result, Scene
from runwright.domain.tools import ASK_USER, Action, Ready, ToolSpec

_SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string", "minLength": 1, "maxLength": 4000, "description": "What the person is asked."},
        "schema": {
            "type": "object",
            "description": "JSON Schema of the answer, if it is a form. Leave it out for an answer in words.",
        },
    },
    "required": ["question"],
    "additionalProperties": False,
}


class AskUser:
    """Says what the tool is. Its calls become `Ask`, which waits for an answer and holds no worker."""

    spec = ToolSpec(
        name=ASK_USER,
        description="Ask the person you work for a question, and wait for the answer.",
        schema=_SCHEMA,
        actions={"": Action("low", "read_only")},
    )

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Refuse: a question is not run as a call."""
        return Fault("tool.failed", "a question is put to a person, not run")
