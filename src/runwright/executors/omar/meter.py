"""Count each command before it begins: what has no room in the budget is not run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from runwright.agents.notes import Note
from runwright.agents.tools.workspace import RunWorkspace
from runwright.domain import agent_events as a
from runwright.domain.agent_events import BudgetReached
from runwright.domain.next_move import left_s, reached
from runwright.executors.omar.journal import Journal
from runwright.executors.terminal import Terminal
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.child import NotStarted
from runwright.sandbox.command import Command, Ended, Hear
from runwright.sandbox.sandbox import WORKSPACE

T = TypeVar("T")
TOOL = "command"
SHOWN_MAX = 20
"""So many words of a program's command are told; a scanner may be given many files."""
_NO_END = Ended(None, "", False, None)
_canonical = msgspec.json.Encoder(order="deterministic").encode


class Spent(Exception):
    """Say that a limit has nothing left for what comes next; the log says so already."""


async def exhaust(journal: Journal, name: str) -> None:
    """Write down that a limit has nothing left, if that is not known yet."""
    if journal.course.exhausted is not None:
        return
    for limit in reached(journal.run, journal.attempt.clock.now()):
        if limit.limit_name == name:
            told = BudgetReached(scope=limit.scope, limit_name=name, used=limit.used, limit=limit.limit)
            await journal.write([Note("budget.exhausted", told, "warning")])


async def charge(journal: Journal, call_id: str, command: tuple[str, ...]) -> None:
    """Write down that a command begins; one that a lost worker had begun is not counted again. Raises `Spent`."""
    if call_id in journal.loop.calls:
        return
    for limit in reached(journal.run, journal.attempt.clock.now()):
        if limit.limit_name == "tool_calls" and limit.used + 1 > limit.limit:
            await exhaust(journal, "tool_calls")
            raise Spent
    shown = list(command[:SHOWN_MAX]) + ([f"… {len(command) - SHOWN_MAX} more"] if len(command) > SHOWN_MAX else [])
    arguments: dict[str, Any] = {"command": shown}
    data = a.ToolCall(
        tool_call_id=call_id,
        tool_name=TOOL,
        arguments=arguments,
        risk="medium",
        args_sha256=sha256(_canonical(command)).hexdigest(),
    )
    await journal.write([Note("tool.call", data)])


async def in_time(journal: Journal, doing: Awaitable[T]) -> T:
    """Return what something gives that may take as long as the loop may still execute. Raises `Spent`."""
    limit = asyncio.timeout(left_s(journal.run, journal.attempt.clock.now()))
    try:
        async with limit:
            return await doing
    except TimeoutError:
        if not limit.expired():
            raise
        await exhaust(journal, "wall_s")
        raise Spent from None


class Metered:
    """A workspace whose commands are counted: what scanners, fixers and gates are given. `phase` names whose they are.

    What a `loud` one says is heard on the terminal of the run.
    """

    def __init__(self, place: RunWorkspace, journal: Journal, phase: str, *, loud: bool = False) -> None:
        self._place = place
        self._journal = journal
        self._phase = phase
        self._loud = loud
        self._count = 0

    @property
    def files(self) -> Beneath:
        """Return the files."""
        return self._place.files

    async def run(self, command: Command, heard: Hear | None = None) -> Ended:
        """Run a command there. Raises `Spent`, and `NotStarted`."""
        self._count += 1
        call_id, clock = f"cmd_{self._phase}_{self._count}", self._journal.attempt.clock
        await charge(self._journal, call_id, tuple(command.words))
        began, left = clock.monotonic(), left_s(self._journal.run, clock.now())
        try:
            ended = await self._run(call_id, command, heard)
        except NotStarted as why:
            await self._tell(call_id, _NO_END, clock.monotonic() - began, str(why))
            raise
        await self._tell(call_id, ended, clock.monotonic() - began)
        late = ended.status is None and ended.exceeded is None
        if late and left is not None and left <= command.timeout_s:
            await exhaust(self._journal, "wall_s")
        return ended

    async def put_back(self) -> None:
        """Forget what was changed there."""
        await self._place.put_back()

    async def _run(self, call_id: str, command: Command, heard: Hear | None) -> Ended:
        if not self._loud:
            return await self._place.run(command, heard)
        attempt = self._journal.attempt
        terminal, ended = Terminal(attempt, call_id, attempt.clock.now), _NO_END
        named = command._replace(env={**command.env, "RUNWRIGHT_STEP_ID": call_id.removeprefix("cmd_")})
        terminal.begin(command.words, cwd=WORKSPACE)
        try:
            ended = await self._place.run(named, terminal.heard)
        finally:
            terminal.end(ended.status)
        return ended

    async def _tell(self, call_id: str, ended: Ended, seconds: float, why: str | None = None) -> None:
        result = a.ToolResult(
            tool_call_id=call_id,
            tool_name=TOOL,
            result={"exit_code": ended.status},
            error=None if why is None else {"code": "command.not_begun", "message": why},
            duration_ms=int(seconds * 1000),
            truncated=ended.truncated,
        )
        await self._journal.write([Note("tool.result", result)])
