"""Count each command before it begins: what has no room in the budget is not run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

import msgspec

from runwright.agents.notes import Note
from runwright.agents.tools.workspace import RunWorkspace
from runwright.domain import agent_events as a
from runwright.domain.agent_events import BudgetReached
from runwright.domain.next_move import left_s, reached
from runwright.domain.verdict import Tried
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


class Came(NamedTuple):
    """What came of a command. `late`: it was ended because the loop's time is over; `why`: it was not begun."""

    call_id: str
    ended: Ended
    seconds: float
    late: bool = False
    why: str | None = None


class Metered:
    """A workspace whose commands are counted: what scanners and fixers are given. `phase` names whose they are."""

    def __init__(self, place: RunWorkspace, journal: Journal, phase: str) -> None:
        self._place = place
        self._journal = journal
        self._phase = phase
        self._count = 0

    @property
    def files(self) -> Beneath:
        """Return the files."""
        return self._place.files

    async def run(self, command: Command, heard: Hear | None = None) -> Ended:
        """Run a command there. Raises `Spent`, and `NotStarted`."""
        self._count += 1
        call_id, clock = self._call_id(self._count), self._journal.attempt.clock
        await charge(self._journal, call_id, tuple(command.words))
        began, left = clock.monotonic(), left_s(self._journal.run, clock.now())
        try:
            ended = await self._run(call_id, command, heard)
        except NotStarted as why:
            await self._came(Came(call_id, _NO_END, clock.monotonic() - began, why=str(why)))
            raise
        late = ended.status is None and ended.exceeded is None and left is not None and left <= command.timeout_s
        await self._came(Came(call_id, ended, clock.monotonic() - began, late))
        return ended

    async def put_back(self) -> None:
        """Forget what was changed there."""
        await self._place.put_back()

    def _call_id(self, number: int) -> str:
        return f"cmd_{self._phase}_{number}"

    async def _run(self, call_id: str, command: Command, heard: Hear | None) -> Ended:
        return await self._place.run(command, heard)

    async def _came(self, came: Came) -> None:
        await self._tell(came, {})

    async def _tell(self, came: Came, said: dict[str, Any]) -> None:
        """Write down what came of a command; where a lost worker had brought it to its end, that is told already."""
        result = a.ToolResult(
            tool_call_id=came.call_id,
            tool_name=TOOL,
            result={"exit_code": came.ended.status, **said},
            error=None if came.why is None else {"code": "command.not_begun", "message": came.why},
            duration_ms=int(came.seconds * 1000),
            truncated=came.ended.truncated,
        )
        if came.call_id not in self._journal.loop.answers:
            await self._journal.write([Note("tool.result", result)])
        if came.late:
            await exhaust(self._journal, "wall_s")


class Judging(Metered):
    """A workspace in which a gate judges: its commands are heard on the terminal of the run.

    The end of one is told with what it says of the tree, in one event. So whoever goes on after a lost worker has the
    whole of it, and does not run it again.
    """

    def __init__(self, place: RunWorkspace, journal: Journal, phase: str) -> None:
        super().__init__(place, journal, phase)
        self._last: Came | None = None
        while self.made(self._count + 1) is not None:
            self._count += 1

    def made(self, number: int) -> Tried | None:
        """Return a try of this look that the log holds."""
        return self._journal.loop.answers.get(self._call_id(number))

    async def tell(self, number: int, tried: Tried) -> None:
        """Write down a try."""
        said: dict[str, Any] = {"status": tried.status, "detail": tried.detail}
        said |= {} if tried.coverage is None else {"coverage": tried.coverage}
        said |= {"unmeasured": tried.unmeasured} if tried.unmeasured else {}
        await self._told(said)

    async def forgo(self) -> None:
        """Write down that a command was not begun, and says nothing of the tree."""
        await self._told({})

    async def _told(self, said: dict[str, Any]) -> None:
        came, self._last = self._last, None
        if came is not None:
            await self._tell(came, said)

    async def _came(self, came: Came) -> None:
        self._last = came

    async def _run(self, call_id: str, command: Command, heard: Hear | None) -> Ended:
        attempt = self._journal.attempt
        terminal, ended = Terminal(attempt, call_id, attempt.clock.now), _NO_END
        named = command._replace(env={**command.env, "RUNWRIGHT_STEP_ID": call_id.removeprefix("cmd_")})
        terminal.begin(command.words, cwd=WORKSPACE)
        try:
            ended = await self._place.run(named, terminal.heard)
        finally:
            terminal.end(ended.status)
        return ended
