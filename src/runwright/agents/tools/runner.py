"""Make the calls of one turn: those that change nothing side by side, the others one after the other.

Calls are taken in their order. Neighbours that change nothing run together; whatever changes something runs alone,
after all before it. So what each finds is what it would find if none ran beside another.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from runwright.agents.tools.port import Fault, Result, Said, Scene
from runwright.agents.tools.toolbox import Toolbox
from runwright.agents.tools.workspace import NoWorkspace, OutOfScope, RunWorkspace, Snapshot
from runwright.clock import Clock
from runwright.domain.tools import Ready
from runwright.sandbox.snapshot import TreeRefused
from runwright.telemetry import observe, report

LATE_S = 5.0
"""A tool keeps the time of its calls itself; this much later it is ended."""


class Made(msgspec.Struct, frozen=True):
    """A call that was made, and what came of it; `snapshot` of the workspace, if the call changed it."""

    call: Ready
    result: Result
    duration_ms: int
    snapshot: Snapshot | None = None


class Journal(Protocol):
    """Who is told of calls, and makes that last before the runner goes on. What it raises ends all calls."""

    async def begin(self, calls: Sequence[Ready]) -> None:
        """Hear of calls that are about to be made, together."""
        ...

    async def end(self, made: Made) -> None:
        """Hear of one that was made, as soon as it was."""
        ...


class Runner:
    """Makes the calls of one run in its workspace."""

    def __init__(self, toolbox: Toolbox, clock: Clock, workspace: RunWorkspace, *, late_s: float = LATE_S) -> None:
        self._toolbox = toolbox
        self._clock = clock
        self._workspace = workspace
        self._late_s = late_s
        self._room = asyncio.Semaphore(toolbox.bounds.parallel)

    async def run_calls(self, calls: Sequence[Ready], journal: Journal) -> list[Made]:
        """Make calls and return what came of them, in their order.

        A call that goes wrong is a `Fault` of its own. Raises what the journal raises, `WorkspaceMismatch`, what
        reading a snapshot raises, and `CancelledError`; everything that was begun has ended then.
        """
        made: list[Made] = []
        for group in _groups(calls):
            await journal.begin(group)
            try:
                async with asyncio.TaskGroup() as tasks:
                    running = [tasks.create_task(self._make(call, journal)) for call in group]
            except BaseExceptionGroup as wrong:
                raise _first(wrong) from wrong
            made += [task.result() for task in running]
        return made

    async def _make(self, call: Ready, journal: Journal) -> Made:
        async with self._room:
            begun, made = self._clock.monotonic(), None
            observe("tool.began", call=call)
            try:
                result, snapshot = await self._settled(call, await self._result(call))
                made = Made(call, result, int((self._clock.monotonic() - begun) * 1000), snapshot)
            finally:
                observe("tool.ended", call=call, made=made)
            await journal.end(made)
            return made

    async def _result(self, call: Ready) -> Result:
        tool = self._toolbox.tools.get(call.tool)
        if tool is None:
            return Fault("tool.unknown", f"there is no tool {call.tool} on this server")
        place = self._workspace if tool.spec.in_workspace else None
        if place is not None:
            try:
                await place.open()
            except NoWorkspace as why:
                return Fault("tool.no_sandbox", str(why))
        scene = Scene(run_id=self._workspace.run_id, tool_call_id=call.tool_call_id, workspace=place)
        try:
            async with asyncio.timeout(call.timeout_s + self._late_s):
                return await tool.call(call, scene)
        except TimeoutError:
            return Fault("tool.timeout", f"it was ended, as it took longer than {call.timeout_s:g} s")
        except Exception as failure:  # noqa: BLE001 - whatever is wrong with one tool is no other's matter
            report("tools.failed", tool=call.tool, error=type(failure).__name__, at=_place_of(failure))
            return Fault("tool.failed", f"the tool failed by itself ({type(failure).__name__})")

    async def _settled(self, call: Ready, result: Result) -> tuple[Result, Snapshot | None]:
        try:
            return result, None if call.effect == "read_only" else await self._workspace.settle()
        except TreeRefused as why:
            message = f"the workspace cannot be kept, and is again as it was before this call: {why}"
            said = result.value if isinstance(result, Said) else result.said
            outside = why.paths if isinstance(why, OutOfScope) else ()
            return Fault("workspace.refused", message, said, result.truncated, outside), None


def _place_of(failure: BaseException) -> str:
    """Return where a failure was raised: its words may be those of a call, which are not for the server's log."""
    *_, (frame, line) = traceback.walk_tb(failure.__traceback__)
    return f"{frame.f_code.co_filename}:{line}"


def _groups(calls: Sequence[Ready]) -> Iterator[list[Ready]]:
    group: list[Ready] = []
    for call in calls:
        if group and not (call.parallel and group[-1].parallel):
            yield group
            group = []
        group.append(call)
    if group:
        yield group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
