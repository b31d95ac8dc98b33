"""What a tool is to whoever calls it: it says what it is, and does one call at a time."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from runwright.agents.tools.workspace import RunWorkspace
from runwright.domain.tools import Ready, ToolSpec


class Said(msgspec.Struct, frozen=True):
    """What came of a call: text, or whatever JSON can hold. `truncated`: there was more of it."""

    value: Any
    truncated: bool = False


class Fault(msgspec.Struct, frozen=True):
    """Why nothing came of a call, in words for the model; `said` is what had come until then.

    `outside`: what it changed that the run's policy lets nobody change; it is as it was.
    """

    code: str
    message: str
    said: Any = None
    truncated: bool = False
    outside: tuple[str, ...] = ()


Result = Said | Fault


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Around a call: whose it is, and the run's workspace, for tools that work in it."""

    run_id: str
    tool_call_id: str
    workspace: RunWorkspace | None = None

    @property
    def place(self) -> RunWorkspace:
        """Return the workspace, for tools that say that they work in one."""
        assert self.workspace is not None
        return self.workspace

    @property
    def idempotency_key(self) -> str:
        """Return the name of the call, the same whenever it is made again."""
        return f"{self.run_id}:{self.tool_call_id}"


class Tool(Protocol):
    """A tool. What goes wrong within it is a `Fault`; it ends everything that it began when it is cancelled."""

    spec: ToolSpec

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Do what a call asks for, within its `timeout_s`: what has not ended soon after is cancelled."""
        ...
