"""The tools that run commands in the sandbox: `shell` and `python`.

They have no network, and of the machine only the run's workspace, which is rebuilt as it was before a call whose end
nobody knows. So a command may be made again: whatever it did is gone.
"""

from __future__ import annotations

from typing import Any

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.port import Fault, Result, Said, Scene
from runwright.domain.tools import TIMEOUT_S, Action, Ready, ToolSpec
from runwright.sandbox.child import NotStarted
from runwright.sandbox.command import Command, Ended, inside
from runwright.sandbox.watch import Exceeded

TIMEOUT_MAX_S = 3600
_CODE = "main.py"
_ALONE = {"": Action("medium", "idempotent")}


def _schema(name: str, of_it: str) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": 30_000, "pattern": r"^[^\x00]*$", "description": of_it}
    seconds = {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": TIMEOUT_MAX_S,
        "description": f"Seconds after which it is ended; {TIMEOUT_S:g} if you say nothing.",
    }
    properties = {name: text, "timeout_s": seconds}
    return {"type": "object", "properties": properties, "required": [name], "additionalProperties": False}


class Shell:
    """Runs a command line by `sh`."""

    spec = ToolSpec(
        name="shell",
        description=(
            "Run a command line with sh in the workspace (/workspace), and return its exit code and what it wrote."
            " There is no network, and nothing but the workspace stays."
        ),
        schema=_schema("command", "The command line."),
        actions=_ALONE,
        in_workspace=True,
    )

    def __init__(self, bounds: ToolBounds) -> None:
        self._bounds = bounds

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Run the command line."""
        words = ("/bin/sh", "-c", call.arguments["command"])
        return await _run(scene, _command(self._bounds, call, scene, words, {}))


class Python:
    """Runs a program in Python."""

    spec = ToolSpec(
        name="python",
        description=(
            "Run a Python 3 program in the workspace (/workspace), and return its exit code and what it printed."
            " There is no network, and nothing but the workspace stays."
        ),
        schema=_schema("code", "The program."),
        actions=_ALONE,
        in_workspace=True,
    )

    def __init__(self, bounds: ToolBounds) -> None:
        self._bounds = bounds

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Run the program."""
        files = {_CODE: call.arguments["code"]}
        return await _run(scene, _command(self._bounds, call, scene, ("python3", inside(_CODE)), files))


def _command(bounds: ToolBounds, call: Ready, scene: Scene, words: tuple[str, ...], files: dict[str, str]) -> Command:
    env = {"PYTHONPATH": "/workspace", "PYTHONDONTWRITEBYTECODE": "1"} if files else {}
    return Command(
        words=words,
        timeout_s=call.timeout_s,
        memory_bytes=bounds.memory_bytes,
        cpus=bounds.cpus,
        output_max_bytes=bounds.output_max_bytes,
        env=env | {"RUNWRIGHT_RUN_ID": scene.run_id, "RUNWRIGHT_IDEMPOTENCY_KEY": scene.idempotency_key},
        files=files,
    )


async def _run(scene: Scene, command: Command) -> Result:
    try:
        ended = await scene.place.run(command)
    except NotStarted as why:
        return Fault("tool.not_started", f"the sandbox did not come about: {why}")
    return _result(ended, command)


def _result(ended: Ended, command: Command) -> Result:
    if ended.status is not None:
        return Said({"exit_code": ended.status, "output": ended.output}, ended.truncated)
    said = {"output": ended.output}
    if ended.exceeded is None:
        message = f"it was ended after {command.timeout_s:g} s, with everything that it had started"
        return Fault("tool.timeout", message, said, ended.truncated)
    return Fault("tool.limit", _limit(ended.exceeded), said, ended.truncated)


def _limit(exceeded: Exceeded) -> str:
    kind, used, most, _ = exceeded
    unit = " processes" if kind == "pids" else f" bytes of {'disk' if kind == 'workspace' else kind}"
    return f"it was ended, as it used {used}{unit}; it may use {most}"
