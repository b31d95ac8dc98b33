"""The tools as a run has them: a real sandbox, a real workspace, and a journal that remembers what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.port import Fault, Result, Said, Tool
from runwright.agents.tools.runner import Made, Runner
from runwright.agents.tools.toolbox import Toolbox
from runwright.agents.tools.workspace import Kept, Snapshot
from runwright.clock import SystemClock
from runwright.domain.globs import Scope
from runwright.domain.model_call import ToolCall
from runwright.domain.tools import Ready, ToolRules
from runwright.sandbox.means import Means

BOUNDS = ToolBounds(http_private=True, memory_bytes=256 << 20)


class Journal:
    """Remembers the groups that began, and the calls that ended, as they did."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.ended: list[str] = []
        self.snapshots: list[Snapshot] = []

    async def begin(self, calls: Sequence[Ready]) -> None:
        """Remember a group."""
        self.begun.append([call.tool_call_id for call in calls])

    async def end(self, made: Made) -> None:
        """Remember a call that was made."""
        self.ended.append(made.call.tool_call_id)
        if made.snapshot is not None:
            self.snapshots.append(made.snapshot)

    @property
    def last(self) -> Kept | None:
        """Return the last snapshot, as another worker would find it."""
        return kept(self.snapshots[-1]) if self.snapshots else None


def kept(snapshot: Snapshot) -> Kept:
    """Return a snapshot as it is found again."""

    async def load() -> bytes:
        return snapshot.archive

    return Kept(snapshot.tree_hash, load)


class Bench:
    """A run with its tools on one worker. To be closed."""

    def __init__(
        self,
        means: Means | None,
        *,
        last: Kept | None = None,
        bounds: ToolBounds = BOUNDS,
        tools: Sequence[Tool] | None = None,
        late_s: float = 5.0,
        scope: Scope | None = None,
        **builtin: Any,
    ) -> None:
        clock = SystemClock()
        self.journal = Journal()
        why = "bubblewrap (bwrap) is not installed"
        if tools is None:
            self.toolbox = Toolbox.builtin(clock, bounds, means, why, **builtin)
        else:
            self.toolbox = Toolbox(tools, bounds, means, why)
        self.workspace = self.toolbox.workspace("run_1", last, scope=scope)
        self.runner = Runner(self.toolbox, clock, self.workspace, late_s=late_s)
        self._count = 0

    async def close(self) -> None:
        """Remove the workspace, and close the connections."""
        await self.workspace.close()
        await self.toolbox.close()

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def ready(self, tool: str, **arguments: Any) -> Ready:
        """Return a call that the rules let through."""
        self._count += 1
        call = ToolCall(f"call_{self._count}", tool, msgspec.json.encode(arguments).decode())
        decided = self.toolbox.catalogue.decide(call, ToolRules())
        assert isinstance(decided, Ready), decided
        return decided

    async def make(self, *calls: Ready) -> list[Made]:
        """Make calls."""
        return await self.runner.run_calls(calls, self.journal)

    async def result(self, tool: str, **arguments: Any) -> Result:
        """Make one call and return what came of it."""
        return (await self.make(self.ready(tool, **arguments)))[0].result

    async def said(self, tool: str, **arguments: Any) -> Any:
        """Make one call and return what it says."""
        result = await self.result(tool, **arguments)
        assert isinstance(result, Said), result
        return result.value

    async def sh(self, command: str, **arguments: Any) -> str:
        """Run a command line that succeeds, and return what it wrote."""
        ended = await self.said("shell", command=command, **arguments)
        assert ended["exit_code"] == 0, ended
        return str(ended["output"])

    async def refused(self, tool: str, **arguments: Any) -> tuple[str, str]:
        """Make one call that fails, and return its code and what is said of it."""
        result = await self.result(tool, **arguments)
        assert isinstance(result, Fault), result
        return result.code, result.message


def value(made: Made) -> Any:
    """Return what a call says."""
    assert isinstance(made.result, Said), made
    return made.result.value


def processes_with(marker: str) -> list[Path]:
    """Return the processes whose command line has a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(path.parent)
        except OSError:
            continue
    return found
